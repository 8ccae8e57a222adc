// Links to the host's kernel: TUN carries IP packets, TAP Ethernet frames. Host code: it opens, reads and writes
// /dev/net/tun (Linux's Documentation/networking/tuntap.rst). The kernel's end of it is set up by tun_kernel_side.h.
//
// Reading never copies more than the headers: a small packet lands in a small one, what is behind 1.7 KB lands in a
// buffer that becomes a fragment. Writing gathers the packet's pieces. A device that went away (ip link del) leaves a
// dead link: nothing comes, everything is dropped, poll_fd() is -1.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/errno.h"
#include "link/link.h"

namespace leat {

struct TunOptions {
  std::string name;      // up to 15 bytes; created when it is not there; empty: the kernel picks one (tun0, tap0, …)
  uint32_t mtu = 0;      // 0: what the kernel's end has
  bool offload = false;  // super-segments and unfinished checksums pass, both ways
  uint8_t mac[6] = {};   // TAP: of our end; all zero: a local one made from the name
};

class TunTapLink : public Link {
 public:
  ~TunTapLink() override;
  const LinkFeatures& features() const override { return features_; }
  // As many as there are, up to out.size().
  size_t receive_batch(std::span<Packet*> out, PacketPool& pool, Time now) override;
  void transmit_batch(std::span<Packet*> packets, Time now) override;
  Time next_event() const override { return Time::never(); }
  int poll_fd() const override { return is_dead() ? -1 : fd_; }
  uint64_t dropped() const override { return dropped_.load(std::memory_order_relaxed); }

  const std::string& name() const { return name_; }  // as the kernel has it
  bool is_dead() const { return is_dead_.load(std::memory_order_relaxed); }
  uint64_t malformed() const { return malformed_.load(std::memory_order_relaxed); }  // received and thrown away

 protected:
  TunTapLink() = default;
  Result<void> start(LinkKind kind, const TunOptions& options, std::string& error);

 private:
  Result<void> attach(const TunOptions& options, std::string& error);
  Result<void> enable_offload(std::string& error);
  Result<void> read_mtu(std::string& error);
  PacketPtr receive_one(Buffer*& spare, PacketPool& pool);
  bool write_frame(Packet& p);

  LinkFeatures features_;
  std::string name_;
  int fd_ = -1;
  bool has_vnet_header_ = false;
  std::atomic<bool> is_dead_{false};
  std::atomic<uint64_t> dropped_{0};
  std::atomic<uint64_t> malformed_{0};
};

class TunLink final : public TunTapLink {
 public:
  static Result<std::unique_ptr<TunLink>> open(const TunOptions& options, std::string& error);
  ~TunLink() override;  // out of line: it keeps the vtable in this library, which has no RTTI

 private:
  TunLink() = default;
};

class TapLink final : public TunTapLink {
 public:
  static Result<std::unique_ptr<TapLink>> open(const TunOptions& options, std::string& error);
  ~TapLink() override;  // out of line: it keeps the vtable in this library, which has no RTTI

 private:
  TapLink() = default;
};

}  // namespace leat
