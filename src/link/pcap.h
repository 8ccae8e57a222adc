// A link that writes every frame that crosses another link, in both directions, to a capture file (libpcap's format,
// nanosecond timestamps), or to bytes in memory, for tests that compare two runs. The time of a frame is `base` plus
// the turn's time.
//
// What is written is what a wire would show: unfinished checksums are finished in the written copy. Super-segments are
// written whole, as tcpdump shows them on a host with offload. It is for looking: writing takes a lock and may block.
// Host code: it uses files, unlike the rest of the room.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/errno.h"
#include "base/spinlock.h"
#include "link/link.h"

struct pcap;
struct pcap_dumper;

namespace leat {

struct PcapOptions {
  std::string path;                        // truncated; unused when `memory` is set
  std::vector<uint8_t>* memory = nullptr;  // the file's bytes; outlives the link, complete after flush() or destruction
  int64_t base_ns = 0;                     // nanoseconds since 1970 when the turn's time is zero
};

class PcapLink final : public Link {
 public:
  // On failure `error` says what could not be done.
  static Result<std::unique_ptr<PcapLink>> open(std::unique_ptr<Link> inner, const PcapOptions& options,
                                                std::string& error);
  ~PcapLink() override;  // flushes

  const LinkFeatures& features() const override { return inner_->features(); }
  size_t receive_batch(std::span<Packet*> out, PacketPool& pool, Time now) override;
  void transmit_batch(std::span<Packet*> packets, Time now) override;
  Time next_event() const override { return inner_->next_event(); }
  int poll_fd() const override { return inner_->poll_fd(); }
  uint64_t dropped() const override { return inner_->dropped(); }

  Link& inner() { return *inner_; }
  Result<void> flush();      // EIO: something could not be written, now or before; the link itself goes on
  uint64_t written() const;  // frames

 private:
  PcapLink(std::unique_ptr<Link> inner, const PcapOptions& options) : inner_(std::move(inner)), options_(options) {}
  Result<void> start(std::string& error);
  void write(const Packet& p, Time now);

  std::unique_ptr<Link> inner_;
  const PcapOptions options_;
  mutable SpinLock lock_;
  pcap* pcap_ = nullptr;
  pcap_dumper* dumper_ = nullptr;
  std::vector<uint8_t> scratch_;
  uint64_t written_ = 0;
};

}  // namespace leat
