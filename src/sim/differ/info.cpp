// See info.h. What only the clock decides (last_*, busy_time, rates) is compared loosely or not at all.
#include "sim/differ/info.h"

#include <fmt/format.h>

#include <cmath>
#include <cstddef>
#include <cstring>

#include "tcp/info.h"

namespace leat::differ {
namespace {

struct Field {
  const char* name;
  size_t offset;
  int size;
  double slack = 0;  // absolute
  double share = 0;  // of the expected value
};

#define LEAT_FIELD(name, ...)                                                    \
  Field {                                                                        \
    #name, offsetof(tcp::TcpInfo, name), sizeof(tcp::TcpInfo::name), __VA_ARGS__ \
  }
const Field kFields[] = {
    LEAT_FIELD(state, 0),
    LEAT_FIELD(ca_state, 0),
    LEAT_FIELD(retransmits, 0),
    LEAT_FIELD(probes, 0),
    LEAT_FIELD(backoff, 0),
    LEAT_FIELD(options, 0),
    // HZ=250: time-outs are multiples of 4 ms.
    LEAT_FIELD(rto, 8000, 0.02),
    LEAT_FIELD(ato, 24000, 0.02),
    LEAT_FIELD(snd_mss, 0),
    LEAT_FIELD(rcv_mss, 0),
    LEAT_FIELD(unacked, 0),
    LEAT_FIELD(sacked, 0),
    LEAT_FIELD(lost, 0),
    LEAT_FIELD(retrans, 0),
    LEAT_FIELD(last_data_sent, 12, 0.15),
    LEAT_FIELD(last_data_recv, 12, 0.15),
    LEAT_FIELD(pmtu, 0),
    LEAT_FIELD(rcv_ssthresh, 0),
    LEAT_FIELD(rtt, 2000, 0.02),
    LEAT_FIELD(rttvar, 2000, 0.05),
    LEAT_FIELD(snd_ssthresh, 0),
    LEAT_FIELD(snd_cwnd, 0),
    LEAT_FIELD(advmss, 0),
    LEAT_FIELD(reordering, 0),
    LEAT_FIELD(rcv_rtt, 3000, 0.05),
    LEAT_FIELD(rcv_space, 0),
    LEAT_FIELD(total_retrans, 0),
    LEAT_FIELD(bytes_acked, 0),
    LEAT_FIELD(bytes_received, 0),
    LEAT_FIELD(segs_out, 0),
    LEAT_FIELD(segs_in, 0),
    LEAT_FIELD(notsent_bytes, 0),
    LEAT_FIELD(min_rtt, 1000, 0.02),
    LEAT_FIELD(data_segs_in, 0),
    LEAT_FIELD(data_segs_out, 0),
    LEAT_FIELD(delivered, 0),
    LEAT_FIELD(delivered_ce, 0),
    LEAT_FIELD(bytes_sent, 0),
    LEAT_FIELD(bytes_retrans, 0),
    LEAT_FIELD(dsack_dups, 0),
    LEAT_FIELD(reord_seen, 0),
    LEAT_FIELD(rcv_ooopack, 0),
    LEAT_FIELD(snd_wnd, 0),
    LEAT_FIELD(rcv_wnd, 0),
    LEAT_FIELD(rehash, 0),
    LEAT_FIELD(total_rto, 0),
    LEAT_FIELD(total_rto_recoveries, 0),
    LEAT_FIELD(total_rto_time, 12, 0.15),
    LEAT_FIELD(busy_time, 20000, 0.1),
    LEAT_FIELD(rwnd_limited, 20000, 0.1),
    LEAT_FIELD(sndbuf_limited, 20000, 0.1),
    LEAT_FIELD(delivery_rate, 2000, 0.1),
    LEAT_FIELD(pacing_rate, 2000, 0.1),
    Field{"rmem_alloc", 280, 4},
    Field{"rcvbuf", 284, 4},
    Field{"sndbuf", 292, 4},
    Field{"fwd_alloc", 296, 4},
    Field{"wmem_queued", 300, 4},
};
#undef LEAT_FIELD

uint64_t read(const std::vector<uint8_t>& info, const Field& f) {
  uint64_t v = 0;
  if (f.offset + static_cast<size_t>(f.size) <= info.size())
    std::memcpy(&v, info.data() + f.offset, static_cast<size_t>(f.size));
  return v;
}

// Of a closed socket Linux shows what its counters were at the end; leat's are 0 (COMPLIANCE).
bool is_left_over(const std::vector<uint8_t>& info, const Field& f) {
  constexpr uint8_t kClosed = 7;
  bool is_one = false;
  for (const char* name : {"lost", "retrans", "sacked", "busy_time", "rwnd_limited", "sndbuf_limited"})
    is_one |= std::strcmp(f.name, name) == 0;
  return is_one && info[0] == kClosed;
}

}  // namespace

std::string compare_info(const std::vector<uint8_t>& expected, const std::vector<uint8_t>& actual) {
  std::string out;
  for (const Field& f : kFields) {
    const uint64_t a = read(expected, f), b = read(actual, f);
    const auto x = static_cast<double>(a), y = static_cast<double>(b);
    if (a == b || std::abs(x - y) <= f.slack + f.share * x) continue;
    if (is_left_over(expected, f)) continue;
    out += fmt::format("{} {} for {}, ", f.name, b, a);
  }
  const uint8_t wscales[2] = {expected.size() > 6 ? expected[6] : uint8_t{}, actual.size() > 6 ? actual[6] : uint8_t{}};
  if (wscales[0] != wscales[1]) out += fmt::format("wscales {:x} for {:x}, ", wscales[1], wscales[0]);
  if (!out.empty()) out.resize(out.size() - 2);
  return out;
}

std::string describe_info(const std::vector<uint8_t>& info) {
  std::string out;
  for (const Field& f : kFields) {
    for (const char* name :
         {"ca_state", "snd_cwnd", "snd_ssthresh", "unacked", "sacked", "lost", "retrans", "rto", "rtt", "reordering"}) {
      if (std::strcmp(name, f.name) == 0) out += fmt::format("{} {} ", f.name, read(info, f));
    }
  }
  if (!out.empty()) out.pop_back();
  return "{" + out + "}";
}

}  // namespace leat::differ
