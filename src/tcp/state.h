// States and small constants of TCP, with Linux's numbers and names (include/net/tcp.h, tcp_states.h).
#pragma once

#include <cstdint>

#include "base/time.h"
#include "inet/sock.h"

namespace leat::tcp {

using inet::State;

constexpr bool in_state(State s, std::initializer_list<State> set) {
  for (State x : set) {
    if (x == s) return true;
  }
  return false;
}

// Congestion state of a sender (ca_state).
enum class CaState : uint8_t { kOpen = 0, kDisorder = 1, kCwr = 2, kRecovery = 3, kLoss = 4 };

inline constexpr uint32_t kInitialCwnd = 10;  // RFC 6928
inline constexpr uint32_t kInfiniteSsthresh = 0x7fffffff;
inline constexpr uint32_t kFastRetransThresh = 3;
inline constexpr uint32_t kMaxQuickAcks = 16;
inline constexpr uint8_t kMaxWscale = 14;
inline constexpr uint32_t kMinMss = 88;      // TCP_MIN_MSS
inline constexpr uint32_t kMinRcvMss = 536;  // TCP_MIN_RCVMSS
inline constexpr uint32_t kMssDefault = 536;
inline constexpr Duration kTimeoutInit = Duration::from_s(1);  // RFC 6298 §2.1
inline constexpr Duration kDelackMax = Duration::from_ms(200);
inline constexpr Duration kDelackMin = Duration::from_ms(40);
inline constexpr Duration kAtoMin = Duration::from_ms(40);
inline constexpr Duration kTimeWaitLen = Duration::from_s(60);
inline constexpr Duration kResourceProbeInterval = Duration::from_ms(500);
inline constexpr Duration kTimeoutMin = Duration::from_us(2000);  // TCP_TIMEOUT_MIN_US
inline constexpr uint32_t kPawsMsl = 60;                          // seconds
inline constexpr int32_t kPawsWindow = 1;
inline constexpr uint32_t kPawsWrap = 24u * 24 * 3600;  // seconds after which ts_recent is too old to judge

}  // namespace leat::tcp
