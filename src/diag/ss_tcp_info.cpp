// The fields of `ss -i`, in iproute2's order; a field that says nothing is left out as ss leaves it out.
#include <fmt/format.h>

#include <cstring>

#include "diag/ss.h"

namespace leat::diag {
namespace {

constexpr uint8_t kUsecTimestamps = 64;  // TCPI_OPT_USEC_TS

std::string rate_text(double bits_a_second, bool is_human) {
  if (!is_human) return fmt::format("{:.0f}", bits_a_second);
  if (bits_a_second > 1e9) return fmt::format("{:.1f}G", bits_a_second / 1e9);
  if (bits_a_second > 1e6) return fmt::format("{:.1f}M", bits_a_second / 1e6);
  if (bits_a_second > 1e3) return fmt::format("{:.1f}K", bits_a_second / 1e3);
  return fmt::format("{:g}", bits_a_second);
}

class Fields {
 public:
  explicit Fields(bool is_human) : is_human_(is_human) {}
  void word(bool has, std::string_view text) {
    if (has) out_ += fmt::format(" {}", text);
  }
  void number(std::string_view name, uint64_t value) {
    if (value != 0) out_ += fmt::format(" {}:{}", name, value);
  }
  void ms(std::string_view name, uint32_t us) {
    if (us != 0) out_ += fmt::format(" {}:{:g}", name, us / 1000.0);
  }
  void rate(std::string_view name, double bits_a_second) {
    if (bits_a_second > 0) out_ += fmt::format(" {} {}bps", name, rate_text(bits_a_second, is_human_));
  }
  void share(std::string_view name, uint64_t us, uint64_t of_us) {
    if (us == 0) return;
    const double percent = of_us == 0 ? 0.0 : 100.0 * static_cast<double>(us) / static_cast<double>(of_us);
    out_ += fmt::format(" {}:{}ms({:.1f}%)", name, us / 1000, percent);
  }
  template <class... A>
  void text(fmt::format_string<A...> format, A&&... a) {
    out_ += fmt::format(format, std::forward<A>(a)...);
  }
  std::string take() { return std::move(out_); }
  bool is_human() const { return is_human_; }

 private:
  std::string out_;
  bool is_human_;
};

void head(Fields& f, const SocketRow& row, bool shows_options) {
  const tcp::TcpInfo& i = row.info;
  constexpr struct {
    uint8_t bit;
    const char* name;
  } kOptions[] = {{tcp::kInfoTimestamps, "ts"}, {kUsecTimestamps, "usec_ts"},   {tcp::kInfoSack, "sack"},
                  {tcp::kInfoEcn, "ecn"},       {tcp::kInfoEcnSeen, "ecnseen"}, {tcp::kInfoSynData, "fastopen"}};
  for (const auto& [bit, name] : kOptions)
    f.word(shows_options && (i.options & bit) != 0, name);
  f.word(!row.congestion.empty(), row.congestion);
  if ((i.options & tcp::kInfoWscale) != 0) f.text(" wscale:{},{}", unsigned{i.snd_wscale}, unsigned{i.rcv_wscale});
  if (i.rto != 3'000'000) f.ms("rto", i.rto);
  f.number("backoff", i.backoff);
  if (i.rtt != 0) f.text(" rtt:{:g}/{:g}", i.rtt / 1000.0, i.rttvar / 1000.0);
  f.ms("ato", i.ato);
}

void sizes(Fields& f, const tcp::TcpInfo& i) {
  f.number("mss", i.snd_mss);
  f.number("pmtu", i.pmtu);
  f.number("rcvmss", i.rcv_mss);
  f.number("advmss", i.advmss);
  f.number("cwnd", i.snd_cwnd);
  if (i.snd_ssthresh < 0xffff) f.number("ssthresh", i.snd_ssthresh);
  f.number("bytes_sent", i.bytes_sent);
  f.number("bytes_retrans", i.bytes_retrans);
  f.number("bytes_acked", i.bytes_acked);
  f.number("bytes_received", i.bytes_received);
  f.number("segs_out", i.segs_out);
  f.number("segs_in", i.segs_in);
  f.number("data_segs_out", i.data_segs_out);
  f.number("data_segs_in", i.data_segs_in);
}

// struct tcp_dctcp_info
void dctcp(Fields& f, const SocketRow& row) {
  uint16_t flags[2];  // enabled, ce_state
  std::memcpy(flags, row.cc_info.data(), sizeof flags);
  if (flags[0] == 0) return f.text(" dctcp:fallback_mode");
  const auto& i = row.cc_info;
  f.text(" dctcp:(ce_state:{},alpha:{},ab_ecn:{},ab_tot:{})", flags[1], i[1], i[2], i[3]);
}

// struct tcp_bbr_info
void bbr(Fields& f, const SocketRow& row) {
  const auto& i = row.cc_info;
  const auto bandwidth = static_cast<double>(uint64_t{i[1]} << 32 | i[0]);
  f.text(" bbr:(bw:{}bps,mrtt:{:g}", rate_text(8.0 * bandwidth, f.is_human()), i[2] / 1000.0);
  if (i[3] != 0) f.text(",pacing_gain:{:g}", i[3] / 256.0);
  if (i[4] != 0) f.text(",cwnd_gain:{:g}", i[4] / 256.0);
  f.text(")");
}

bool is_vegas(const SocketRow& row) {
  return row.congestion == "vegas" || row.congestion == "westwood";
}

void congestion(Fields& f, const SocketRow& row) {
  if (row.cc_info_bytes == 0) return;
  if (row.congestion.starts_with("dctcp")) dctcp(f, row);
  if (row.congestion == "bbr") bbr(f, row);
}

// struct tcpvegas_info, whose RTT is taken instead of the smoothed one.
double rtt_of_rate(const SocketRow& row) {
  constexpr uint32_t kNone = 0x7fffffff;
  const bool has_own = row.cc_info_bytes != 0 && is_vegas(row) && row.cc_info[0] != 0;
  return has_own && row.cc_info[2] != 0 && row.cc_info[2] != kNone ? row.cc_info[2] : row.info.rtt;
}

void rates(Fields& f, const tcp::TcpInfo& i, double rtt_us) {
  if (rtt_us > 0) f.rate("send", 8e6 * i.snd_mss * i.snd_cwnd / rtt_us);
  f.number("lastsnd", i.last_data_sent);
  f.number("lastrcv", i.last_data_recv);
  f.number("lastack", i.last_ack_recv);
  if (i.pacing_rate != 0 && i.pacing_rate != ~uint64_t{0}) {
    f.rate("pacing_rate", 8.0 * static_cast<double>(i.pacing_rate));
    if (i.max_pacing_rate != 0 && i.max_pacing_rate != ~uint64_t{0}) {
      f.text("/{}bps", rate_text(8.0 * static_cast<double>(i.max_pacing_rate), f.is_human()));
    }
  }
  f.rate("delivery_rate", 8.0 * static_cast<double>(i.delivery_rate));
  f.number("delivered", i.delivered);
  f.number("delivered_ce", i.delivered_ce);
  f.word(i.delivery_rate_app_limited != 0, "app_limited");
  if (i.busy_time != 0) f.text(" busy:{}ms", i.busy_time / 1000);
  f.share("rwnd_limited", i.rwnd_limited, i.busy_time);
  f.share("sndbuf_limited", i.sndbuf_limited, i.busy_time);
}

void tail(Fields& f, const tcp::TcpInfo& i, bool is_listener) {
  f.number("unacked", i.unacked);
  if (i.retrans != 0 || i.total_retrans != 0) f.text(" retrans:{}/{}", i.retrans, i.total_retrans);
  f.number("lost", i.lost);
  if (!is_listener) f.number("sacked", i.sacked);
  f.number("dsack_dups", i.dsack_dups);
  if (i.reordering != 3) f.number("reordering", i.reordering);
  f.number("reord_seen", i.reord_seen);
  f.ms("rcv_rtt", i.rcv_rtt);
  f.number("rcv_space", i.rcv_space);
  f.number("rcv_ssthresh", i.rcv_ssthresh);
  f.number("notsent", i.notsent_bytes);
  if (i.min_rtt != ~0u) f.ms("minrtt", i.min_rtt);
  f.number("rcv_ooopack", i.rcv_ooopack);
  f.number("snd_wnd", i.snd_wnd);
  f.number("rcv_wnd", i.rcv_wnd);
  f.number("rehash", i.rehash);
}

}  // namespace

std::string format_tcp_info(const SocketRow& row, bool shows_options, bool is_human) {
  Fields f(is_human);
  head(f, row, shows_options);
  sizes(f, row.info);
  congestion(f, row);
  rates(f, row.info, rtt_of_rate(row));
  tail(f, row.info, row.state == inet::State::kListen);
  return f.take();
}

}  // namespace leat::diag
