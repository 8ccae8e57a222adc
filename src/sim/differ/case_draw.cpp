// How a number becomes a case: a few themes (sending, talking, receiving, silence, closing), each with its own losses,
// windows and oddities. Times are drawn freely: a replay hears of everything when the kernel did.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>

#include "sim/dice.h"
#include "sim/differ/case.h"

namespace leat::differ {
namespace {

using sim::Dice;

Duration ms(uint32_t n) {
  return Duration::from_ms(n);
}

class Drawing {
 public:
  explicit Drawing(uint64_t number) : dice_(number, 77) { c_.number = number; }

  Case draw() {
    draw_peer();
    draw_sysctls();
    draw_options_before();
    switch (dice_.between(0, 9)) {
      case 0:
      case 1:
      case 2:
        bulk();
        break;
      case 3:
      case 4:
        talk();
        break;
      case 5:
      case 6:
        receive();
        break;
      case 7:
        silence();
        break;
      case 8:
        zero_window();
        break;
      default:
        oddities();
    }
    if (!dice_.one_in(3)) close();
    draw_mtu_probing();
    finish();
    return c_;
  }

 private:
  bool percent(uint32_t p) { return dice_.between(1, 100) <= p; }
  template <class T>
  T one_of(std::initializer_list<T> list) {
    return *(list.begin() + dice_.between(0, static_cast<uint32_t>(list.size()) - 1));
  }

  void draw_peer() {
    c_.is_v6 = dice_.one_in(4);
    c_.is_passive = dice_.one_in(2);
    c_.congestion = percent(60) ? "cubic" : "reno";
    c_.peer_mss = one_of<uint16_t>({1460, 1460, 1440, 1000, 1000, 536, 1300, 8960});
    if (!dice_.one_in(6)) c_.peer_wscale = one_of<uint8_t>({0, 2, 7, 7, 7, 10, 14});
    c_.peer_sack = !dice_.one_in(6);
    c_.peer_ts = !dice_.one_in(4);
    c_.peer_dsack = !dice_.one_in(5);
    c_.peer_ecn = dice_.one_in(5);
    c_.peer_window = one_of<uint32_t>({1 << 20, 1 << 20, 65535, 32768, 8000, 4 << 20});
    c_.rtt = ms(one_of<uint32_t>({20, 40, 50, 60, 80, 100, 150}));
    c_.ack_every = one_of<uint32_t>({1, 1, 2, 2, 3, 8});
    c_.ack_delay = ms(one_of<uint32_t>({10, 40, 100}));
    if (dice_.one_in(25)) c_.syn_drops = dice_.between(1, 2);
  }

  void draw_sysctls() {
    const std::pair<const char*, std::vector<const char*>> choices[] = {
        {"net.ipv4.tcp_sack", {"0"}},
        {"net.ipv4.tcp_timestamps", {"0"}},
        {"net.ipv4.tcp_window_scaling", {"0"}},
        {"net.ipv4.tcp_dsack", {"0"}},
        {"net.ipv4.tcp_ecn", {"0", "1"}},
        {"net.ipv4.tcp_recovery", {"0", "3", "5"}},
        {"net.ipv4.tcp_early_retrans", {"0"}},
        {"net.ipv4.tcp_slow_start_after_idle", {"0"}},
        {"net.ipv4.tcp_frto", {"0"}},
        {"net.ipv4.tcp_reordering", {"5", "10"}},
        {"net.ipv4.tcp_retrans_collapse", {"0"}},
        {"net.ipv4.tcp_moderate_rcvbuf", {"0"}},
        {"net.ipv4.tcp_rmem", {"4096 20000 6291456", "4096 65536 100000"}},
        {"net.ipv4.tcp_wmem", {"4096 16384 32768", "4096 100000 4194304"}},
        {"net.ipv4.tcp_adv_win_scale", {"2", "-1"}},
        {"net.ipv4.tcp_thin_linear_timeouts", {"1"}},
        {"net.ipv4.tcp_pingpong_thresh", {"3"}},
        {"net.ipv4.tcp_rto_min_us", {"40000"}},
        {"net.ipv4.tcp_shrink_window", {"1"}},
        {"net.ipv4.tcp_notsent_lowat", {"20000"}},
        {"net.ipv4.tcp_tso_win_divisor", {"1", "8"}},
        {"net.ipv4.tcp_comp_sack_nr", {"0"}},
        {"net.ipv4.tcp_abort_on_overflow", {"1"}},
        {"net.ipv4.tcp_app_win", {"8"}},
        {"net.ipv4.tcp_max_reordering", {"4"}},
        {"net.ipv4.tcp_min_rtt_wlen", {"1"}},
    };
    for (const auto& [name, values] : choices) {
      if (dice_.one_in(30))
        c_.sysctls.emplace_back(name, values[dice_.between(0, static_cast<uint32_t>(values.size()) - 1)]);
    }
  }

  // With dice of its own, so that the cases are else what they were before this could be drawn.
  void draw_mtu_probing() {
    Dice dice(c_.number, 78);
    if (!dice.one_in(15)) return;
    const auto pick = [&](const char* name, std::vector<const char*> values) {
      c_.sysctls.emplace_back(name, values[dice.between(0, static_cast<uint32_t>(values.size()) - 1)]);
    };
    pick("net.ipv4.tcp_mtu_probing", {"1", "2", "2", "2"});
    pick("net.ipv4.tcp_base_mss", {"300", "512", "700", "1024"});
    pick("net.ipv4.tcp_retries1", {"0", "3"});
    if (dice.one_in(3)) pick("net.ipv4.tcp_probe_threshold", {"1", "200"});
    if (dice.one_in(3)) pick("net.ipv4.tcp_probe_interval", {"1"});
  }

  Op option(int level, int name, int64_t value) {
    Op op;
    op.kind = Op::kOption;
    op.level = level;
    op.name = name;
    op.value = value;
    return op;
  }

  void draw_options_before() {
    const auto add = [this](int level, int name, int64_t value) {
      c_.options_before.push_back(option(level, name, value));
    };
    if (dice_.one_in(12)) add(IPPROTO_TCP, TCP_MAXSEG, one_of<int64_t>({536, 1000, 1400}));
    if (dice_.one_in(12)) add(SOL_SOCKET, SO_RCVBUF, one_of<int64_t>({4000, 20000, 200000}));
    if (dice_.one_in(12)) add(SOL_SOCKET, SO_SNDBUF, one_of<int64_t>({5000, 20000, 500000}));
    if (dice_.one_in(20)) add(IPPROTO_TCP, TCP_WINDOW_CLAMP, one_of<int64_t>({3000, 20000, 60000}));
    if (dice_.one_in(6)) add(IPPROTO_TCP, TCP_NODELAY, 1);
    if (c_.is_passive && dice_.one_in(25)) add(IPPROTO_TCP, TCP_DEFER_ACCEPT, 1);
  }

  // A call at a time; the generator's hand moves on.
  void call(Op::Kind kind, int64_t value = 0) {
    Op op;
    op.kind = kind;
    op.value = value;
    op.at = clock_;
    c_.ops.push_back(op);
  }
  void set(int level, int name, int64_t value) {
    Op op = option(level, name, value);
    op.at = clock_;
    c_.ops.push_back(op);
  }
  void pass(uint32_t from, uint32_t to) { clock_ += ms(dice_.between(from, to)); }

  void losses(uint32_t span) {
    switch (dice_.between(0, 6)) {
      case 0:
        break;
      case 1:  // a few here and there
        for (uint32_t i = dice_.between(1, 4); i > 0; --i)
          c_.data_fates[dice_.between(0, span)].is_dropped = true;
        break;
      case 2: {  // a burst
        const uint32_t from = dice_.between(0, span);
        for (uint32_t i = dice_.between(1, 6); i > 0; --i)
          c_.data_fates[from + i].is_dropped = true;
        break;
      }
      case 3: {  // a share of all
        const uint32_t share = dice_.between(3, 25);
        for (uint32_t i = 0; i < span * 2; ++i)
          if (percent(share)) c_.data_fates[i].is_dropped = true;
        break;
      }
      case 4:  // out of order
        for (uint32_t i = dice_.between(1, 5); i > 0; --i)
          c_.data_fates[dice_.between(0, span)].delay = ms(dice_.between(1, 70));
        break;
      case 5:  // twice
        for (uint32_t i = dice_.between(1, 4); i > 0; --i)
          c_.data_fates[dice_.between(0, span)].is_doubled = true;
        break;
      default:  // all of it
        for (uint32_t i = dice_.between(2, 6); i > 0; --i) {
          c_.data_fates[dice_.between(0, span)].is_dropped = true;
          c_.data_fates[dice_.between(0, span)].delay = ms(dice_.between(1, 100));
          c_.data_fates[dice_.between(0, span)].is_doubled = true;
        }
    }
    if (dice_.one_in(4)) {
      for (uint32_t i = dice_.between(1, 6); i > 0; --i) {
        Fate& f = c_.ack_fates[dice_.between(0, span)];
        if (dice_.one_in(2))
          f.is_dropped = true;
        else if (dice_.one_in(2))
          f.delay = ms(dice_.between(1, 60));
        else
          f.is_doubled = true;
      }
    }
    if (c_.peer_ecn) {
      for (uint32_t i = dice_.between(0, 4); i > 0; --i)
        c_.ce_marks.insert(dice_.between(0, span));
    }
  }

  void bulk() {
    const uint32_t segments = dice_.between(5, dice_.one_in(4) ? 200 : 50);
    losses(segments);
    for (uint32_t left = segments * c_.peer_mss; left > 0;) {
      const uint32_t n = dice_.one_in(2) ? left : std::min(left, dice_.between(1, 20000));
      call(Op::kWrite, n);
      left -= n;
      if (dice_.one_in(3)) call(Op::kInfo);
      pass(0, dice_.one_in(5) ? 400 : 60);
    }
    for (uint32_t i = 0; i < 6; ++i) {
      pass(20, 250);
      call(Op::kInfo);
    }
    if (dice_.one_in(3)) {  // again, after a rest
      pass(100, 700);
      call(Op::kWrite, dice_.between(1, 60000));
      pass(50, 300);
      call(Op::kInfo);
    }
  }

  void some_option() {
    switch (dice_.between(0, 9)) {
      case 0:
        return set(IPPROTO_TCP, TCP_NODELAY, dice_.between(0, 1));
      case 1:
        return set(IPPROTO_TCP, TCP_CORK, dice_.between(0, 1));
      case 2:
        return set(IPPROTO_TCP, TCP_QUICKACK, dice_.between(0, 1));
      case 3:
        return set(IPPROTO_TCP, TCP_CONGESTION, dice_.between(0, 1));
      case 4:
        return set(IPPROTO_TCP, TCP_NOTSENT_LOWAT, one_of<int64_t>({1, 4000, 100000}));
      case 5:
        return set(SOL_SOCKET, SO_RCVBUF, one_of<int64_t>({3000, 50000, 300000}));
      case 6:
        return set(IPPROTO_TCP, TCP_WINDOW_CLAMP, one_of<int64_t>({0, 2000, 30000}));
      case 7:
        return set(IPPROTO_TCP, TCP_USER_TIMEOUT, one_of<int64_t>({0, 500, 5000}));
      case 8:
        return set(SOL_SOCKET, SO_SNDBUF, one_of<int64_t>({3000, 50000, 300000}));
      default:
        return set(IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, dice_.between(0, 1));
    }
  }

  // Small writes, reads and answers, both ways.
  void talk() {
    losses(15);
    uint32_t offset = 0;
    for (uint32_t i = dice_.between(4, 20); i > 0; --i) {
      switch (dice_.between(0, 5)) {
        case 0:
        case 1:
          call(dice_.one_in(8) ? Op::kWriteMore : Op::kWrite, dice_.between(1, dice_.one_in(3) ? 4000 : 600));
          break;
        case 2:
        case 3: {
          const uint32_t n = dice_.between(1, dice_.one_in(3) ? 1400 : 300);
          peer_data(offset, n);
          offset += n;
          break;
        }
        case 4:
          call(Op::kRead, dice_.between(1, 5000));
          break;
        default:
          some_option();
      }
      if (dice_.one_in(4)) call(Op::kInfo);
      if (!dice_.one_in(3)) pass(1, dice_.one_in(4) ? 300 : 60);
    }
    pass(50, 300);
    call(Op::kRead, 100000);
    call(Op::kInfo);
    sent_ = offset;
  }

  void peer_data(uint32_t offset, uint32_t n) {
    PeerSend p;
    p.at = clock_ + ms(5);
    p.offset = offset;
    p.length = n;
    p.has_push = !dice_.one_in(4);
    p.is_ce = dice_.one_in(10);
    c_.sends.push_back(p);
  }

  // A stream from the peer in segments, some missing and sent again later, some early, some twice.
  void receive() {
    const uint32_t size = one_of<uint32_t>({1460, 1440, 1400, 1000, 536, 100});
    const uint32_t segments = dice_.between(5, dice_.one_in(3) ? 120 : 40);
    std::vector<uint32_t> again;
    uint32_t in_burst = 0;
    for (uint32_t i = 0; i < segments; ++i) {
      const bool is_lost = percent(8);
      if (is_lost)
        again.push_back(i);
      else
        peer_data(i * size, size);
      if (percent(5) && i > 3) peer_data((i - dice_.between(0, 3)) * size, size);
      if (percent(4)) peer_data(i * size + size / 2, size);
      if (percent(4) && i > 1)
        std::swap(c_.sends.back().at, c_.sends[c_.sends.size() > 1 ? c_.sends.size() - 2 : 0].at);
      if (!again.empty() && percent(15)) {
        for (uint32_t n : again)
          peer_data(n * size, size);
        again.clear();
      }
      if (++in_burst >= dice_.between(1, 12)) {
        in_burst = 0;
        pass(1, dice_.one_in(5) ? 150 : 40);
        if (percent(60)) call(Op::kRead, dice_.between(1, dice_.one_in(2) ? 100000 : 3000));
        if (percent(20)) call(Op::kInfo);
        if (percent(5)) some_option();
        if (percent(10)) call(Op::kWrite, dice_.between(1, 3000));
      }
    }
    pass(20, 100);
    for (uint32_t n : again)
      peer_data(n * size, size);
    pass(20, 300);
    call(Op::kInfo);
    call(Op::kRead, 1000000);
    pass(20, 200);
    call(Op::kInfo);
    sent_ = segments * size;
  }

  // The peer, or the network, is gone for a while.
  void silence() {
    const uint32_t from = dice_.between(0, 20), count = dice_.between(3, 14);
    for (uint32_t i = 0; i < count; ++i) {
      if (dice_.one_in(2))
        c_.data_fates[from + i].is_dropped = true;
      else
        c_.ack_fates[from + i].is_dropped = true;
    }
    if (dice_.one_in(2))
      for (uint32_t i = 0; i < count; ++i)
        c_.data_fates[from + i].is_dropped = true;
    if (dice_.one_in(5)) set(IPPROTO_TCP, TCP_USER_TIMEOUT, one_of<int64_t>({300, 1000, 3000}));
    call(Op::kWrite, dice_.between(1, 40000));
    for (uint32_t i = 0; i < 8; ++i) {
      pass(50, 600);
      if (dice_.one_in(4)) call(Op::kWrite, dice_.between(1, 10000));
      call(dice_.one_in(5) ? Op::kPoll : Op::kInfo);
    }
  }

  void zero_window() {
    losses(20);
    c_.zero_window_from = ms(dice_.between(0, 300));
    c_.zero_window_to = c_.zero_window_from + ms(dice_.between(100, 2500));
    PeerSend p;
    p.kind = PeerSend::kWindow;
    p.at = c_.zero_window_to + ms(1);
    c_.sends.push_back(p);
    for (uint32_t i = dice_.between(2, 6); i > 0; --i) {
      call(Op::kWrite, dice_.between(1, 30000));
      pass(1, 150);
      if (dice_.one_in(2)) call(Op::kInfo);
    }
    for (uint32_t i = 0; i < 6; ++i) {
      pass(100, 500);
      call(Op::kInfo);
    }
  }

  // A conversation with what a peer should not say.
  void oddities() {
    talk();
    for (uint32_t i = dice_.between(1, 6); i > 0; --i) {
      PeerSend p;
      p.kind = one_of<PeerSend::Kind>({PeerSend::kResetInside, PeerSend::kSyn, PeerSend::kOldAck, PeerSend::kFutureAck,
                                       PeerSend::kWindow, PeerSend::kKeepalive});
      if (dice_.one_in(12)) p.kind = PeerSend::kReset;
      p.at = ms(dice_.between(1, static_cast<uint32_t>(clock_.ms()) + 200));
      p.offset = dice_.between(1, 100000);
      c_.sends.push_back(p);
    }
  }

  void peer_fin() {
    PeerSend p;
    p.at = clock_ + ms(5);
    p.offset = sent_;
    p.length = dice_.one_in(2) ? 0 : dice_.between(1, 1000);
    p.has_fin = true;
    c_.sends.push_back(p);
  }

  void close() {
    pass(0, 200);
    const bool is_first = dice_.one_in(2);
    if (!is_first) {
      peer_fin();
      pass(5, 150);
      call(Op::kPoll);
      call(Op::kRead, dice_.one_in(4) ? 1 : 1000000);
    }
    if (dice_.one_in(6)) set(SOL_SOCKET, SO_LINGER, one_of<int64_t>({-1, 0}));
    if (dice_.one_in(3)) call(Op::kWrite, dice_.between(1, 5000));
    const bool is_half = dice_.one_in(2);
    if (is_half)
      call(Op::kShutdown, one_of<int64_t>({SHUT_WR, SHUT_WR, SHUT_RD, SHUT_RDWR}));
    else
      call(Op::kClose);
    pass(10, 300);
    if (is_half) call(Op::kInfo);
    if (is_first && !dice_.one_in(4)) {
      peer_fin();
      pass(10, 200);
      if (is_half) call(Op::kRead, 1000000);
    }
    if (is_half && !dice_.one_in(4)) {
      call(Op::kInfo);
      call(Op::kClose);
    }
  }

  void finish() {
    std::stable_sort(c_.sends.begin(), c_.sends.end(), [](const auto& a, const auto& b) { return a.at < b.at; });
    c_.length = clock_ + ms(one_of<uint32_t>({300, 600, 1500}));
    c_.length = std::min(c_.length, Duration::from_s(12));
  }

  Dice dice_;
  Case c_;
  Duration clock_;
  uint32_t sent_ = 0;  // bytes of the peer's stream
};

}  // namespace

Case draw(uint64_t number) {
  return Drawing(number).draw();
}

}  // namespace leat::differ
