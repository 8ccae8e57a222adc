// IPPROTO_TCP's options: one row for each that Linux has, with how to read and write it, or the errno by which it fails
// as on a Linux that does not know it (design decision 2; tcp(7)). docs/SOCKET_OPTIONS.md can be made from it.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "inet/sock_options.h"
#include "tcp/tcp.h"

namespace leat::tcp {

// Linux's numbers (include/uapi/linux/tcp.h); libc's headers lack the newer ones.
enum TcpOptionName : int {
  kOptNodelay = 1,
  kOptMaxseg = 2,
  kOptCork = 3,
  kOptKeepidle = 4,
  kOptKeepintvl = 5,
  kOptKeepcnt = 6,
  kOptSyncnt = 7,
  kOptLinger2 = 8,
  kOptDeferAccept = 9,
  kOptWindowClamp = 10,
  kOptInfo = 11,
  kOptQuickack = 12,
  kOptCongestion = 13,
  kOptMd5sig = 14,
  kOptThinLinearTimeouts = 16,
  kOptThinDupack = 17,
  kOptUserTimeout = 18,
  kOptRepair = 19,
  kOptRepairQueue = 20,
  kOptQueueSeq = 21,
  kOptRepairOptions = 22,
  kOptFastopen = 23,
  kOptTimestamp = 24,
  kOptNotsentLowat = 25,
  kOptCcInfo = 26,
  kOptSaveSyn = 27,
  kOptSavedSyn = 28,
  kOptRepairWindow = 29,
  kOptFastopenConnect = 30,
  kOptUlp = 31,
  kOptMd5sigExt = 32,
  kOptFastopenKey = 33,
  kOptFastopenNoCookie = 34,
  kOptZerocopyReceive = 35,
  kOptInq = 36,
  kOptTxDelay = 37,
  kOptAoAddKey = 38,
  kOptAoDelKey = 39,
  kOptAoInfo = 40,
  kOptAoGetKeys = 41,
  kOptAoRepair = 42,
  kOptIsMptcp = 43,
  kOptRtoMaxMs = 44,
  kOptRtoMinUs = 45,
  kOptDelackMaxUs = 46
};

enum class OptionType : uint8_t { kInt, kBytes };
// kFails: nothing can be set with success (the errno is the row's, or its setter's for what Linux distinguishes).
enum class OptionStatus : uint8_t { kWorks, kReadOnly, kFails };

// The socket is locked and its clock is current while a row's function runs; what a setter leaves in Conn::effects is
// flushed. A missing function: fails_with.
struct TcpOption {
  int name;
  const char* text;  // "TCP_NODELAY"
  OptionType type;
  OptionStatus status;
  Result<void> (*set)(Conn&, int) = nullptr;
  Result<int> (*get)(Conn&) = nullptr;
  Result<void> (*set_bytes)(Conn&, std::span<const uint8_t>) = nullptr;
  Result<size_t> (*get_bytes)(Conn&, std::span<uint8_t>) = nullptr;
  int fails_with = ENOPROTOOPT;
};

// The rows, by subject.
std::span<const TcpOption> sending_options();    // options_sending.cpp
std::span<const TcpOption> timer_options();      // options_timers.cpp
std::span<const TcpOption> reporting_options();  // options_reporting.cpp
inline std::array<std::span<const TcpOption>, 3> tcp_options() {
  return {sending_options(), timer_options(), reporting_options()};
}

// A member of SockOptions, which sockets share: copied by the first who changes one.
template <auto Member>
Result<void> set_shared(Conn& c, auto value) {
  if (c.sk.options->*Member == static_cast<std::remove_cvref_t<decltype(c.sk.options->*Member)>>(value)) return {};
  inet::SockOptions* o = inet::own_options(c.sk);
  if (o == nullptr) return err(ENOMEM);
  o->*Member = static_cast<std::remove_cvref_t<decltype(o->*Member)>>(value);
  return {};
}

}  // namespace leat::tcp
