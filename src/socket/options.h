// The table of socket options: one row for each that Linux has, with how to read and write it, or that it fails here as
// on a Linux that does not know it. docs are generated from it (design decision 2).
// The rows of a level are in options_<level>.cpp; IPPROTO_TCP's work is Tcp::set_option and get_option.
#pragma once

#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "base/errno.h"
#include "socket/sockets.h"

namespace leat::socket {

// One getsockopt or setsockopt under way. The socket's lock is held while a row's function runs.
inline constexpr int kAutoFlowLabel = 70;  // IPV6_AUTOFLOWLABEL

struct OptionCall {
  Sockets& sockets;
  File& file;
  inet::Sock& sock;
  int level;
  int name;
  ByteView value;    // setsockopt
  MutableBytes out;  // getsockopt

  Netns& ns() const { return sockets.ns_; }
  ip::Ip& ip() const { return sockets.ip_; }
  tcp::Tcp& tcp() const { return sockets.tcp_; }
  udp::Udp& udp() const { return sockets.udp_; }
  void process_missed() const { sockets.process_missed(file); }
  bool is_privileged() const { return sockets.config_.privileged; }
  bool is_tcp() const { return file.kind == FileKind::kTcp; }
  const inet::SockOptions& options() const { return *sock.options; }
  Result<inet::SockOptions*> own() const;  // for changing; ENOMEM
};

enum class OptionType : uint8_t { kNone, kInt, kBool, kUint64, kBytes };
enum class OptionStatus : uint8_t { kWorks, kReadOnly, kFails };  // kFails: with the row's errno

struct OptionRow {
  int level;
  int name;
  const char* text;  // "SO_REUSEADDR"
  OptionType type;
  OptionStatus status = OptionStatus::kFails;
  int fails_with = 0;  // 0: ENOPROTOOPT
  Result<int> (*get)(OptionCall&) = nullptr;
  Result<void> (*set)(OptionCall&, int) = nullptr;
  Result<size_t> (*get_bytes)(OptionCall&) = nullptr;  // into out; how many
  Result<void> (*set_bytes)(OptionCall&) = nullptr;
  bool without_lock = false;  // it calls functions of tcp or udp that lock
};

std::span<const OptionRow> socket_options();
std::span<const OptionRow> ip_options();
std::span<const OptionRow> ipv6_options();
std::span<const OptionRow> udp_options();

// --- for rows
// -----------------------------------------------------------------------------------------------------------
template <class T>
Result<T> read_option(const OptionCall& c) {
  T v;
  if (c.value.size() < sizeof v) return err(EINVAL);
  std::memcpy(&v, c.value.data(), sizeof v);
  return v;
}
template <class T>
Result<size_t> write_option(OptionCall& c, const T& v) {
  const size_t n = c.out.size() < sizeof v ? c.out.size() : sizeof v;
  std::memcpy(c.out.data(), &v, n);
  return n;
}
// A member of SockOptions, read as an int and written as it is.
template <auto Member>
Result<int> get_member(OptionCall& c) {
  return static_cast<int>(c.options().*Member);
}
template <auto Member>
Result<void> set_member(OptionCall& c, int value) {
  const auto o = c.own();
  if (!o) return std::unexpected(o.error());
  using T = std::remove_reference_t<decltype((*o)->*Member)>;
  if constexpr (std::is_same_v<T, bool>) {
    (*o)->*Member = value != 0;
  } else {
    (*o)->*Member = static_cast<T>(value);
  }
  return {};
}
template <uint32_t Bit>
Result<int> get_receive_flag(OptionCall& c) {
  return (c.options().receive_flags & Bit) != 0 ? 1 : 0;
}
template <uint32_t Bit>
Result<void> set_receive_flag(OptionCall& c, int value) {
  const auto o = c.own();
  if (!o) return std::unexpected(o.error());
  (*o)->receive_flags = value != 0 ? (*o)->receive_flags | Bit : (*o)->receive_flags & ~Bit;
  return {};
}
Result<int> get_ttl(OptionCall& c);
Result<void> set_ttl(OptionCall& c, int value);
Result<int> get_path_mtu(OptionCall& c);
Result<void> set_transparent(OptionCall& c, int value);
Result<void> set_min_ttl(OptionCall& c, int value);

}  // namespace leat::socket
