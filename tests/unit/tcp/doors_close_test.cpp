// The end: FIN from either side or both, RST, orphans, FIN_WAIT2, TIME_WAIT.
#include "unit/tcp/doors_net.h"

namespace leat::tcp {
namespace {

struct Close : DoorsTest {
  TcpSock* s = nullptr;
  Peer p;

  void connect() {
    s = &make();
    p = open_active(*s);
  }
  void fin_from_peer() {
    send({.flags = kTcpFin | kTcpAck, .seq = p.seq, .ack = p.ack});
    ++p.seq;
  }
  void ack_from_peer() { send({.flags = kTcpAck, .seq = p.seq, .ack = p.ack}); }
  // Our FIN, as the peer sees it.
  void expect_fin() {
    const Seen fin = next();
    EXPECT_EQ(kTcpFin | kTcpAck, fin.h.flags);
    EXPECT_EQ(p.ack, fin.h.seq);
    ++p.ack;
  }
  // Closed by us first, then by the peer: a time-wait.
  void to_time_wait() {
    connect();
    close(*s);
    expect_fin();
    ack_from_peer();
    fin_from_peer();
    EXPECT_EQ(kTcpAck, next().h.flags);
  }
};

TEST_F(Close, first_here_it_becomes_a_time_wait_for_60_seconds) {
  to_time_wait();
  EXPECT_EQ(0u, tcp->socks.in_use());
  EXPECT_EQ(0u, tcp->conns.in_use());
  EXPECT_EQ(1u, tcp->time_waits.in_use());
  EXPECT_EQ(1u, tcp->counts.time_waits);
  EXPECT_EQ(0u, counter(Mib::TcpCurrEstab));
  advance(59'999);
  EXPECT_EQ(1u, tcp->time_waits.in_use());
  advance(1);
  EXPECT_EQ(0u, tcp->time_waits.in_use());
  EXPECT_EQ(0u, tcp->counts.time_waits);
}

TEST_F(Close, first_there_it_ends_with_the_ack_of_our_fin) {
  connect();
  fin_from_peer();
  EXPECT_EQ(State::kCloseWait, s->get_state());
  EXPECT_EQ(uint32_t{EPOLLIN | EPOLLRDHUP}, tcp->poll_events(*s) & (EPOLLIN | EPOLLRDHUP | EPOLLHUP));
  advance(50);
  EXPECT_EQ(kTcpAck, next().h.flags);
  close(*s);
  expect_fin();
  EXPECT_EQ(1u, tcp->counts.orphans);
  ack_from_peer();
  EXPECT_EQ(0u, tcp->socks.in_use());
  EXPECT_EQ(0u, tcp->time_waits.in_use());
  EXPECT_EQ(0u, tcp->counts.orphans);
}

TEST_F(Close, both_at_once) {
  connect();
  ASSERT_EQ(0, code(tcp->shutdown(*s, SHUT_WR)));
  run();
  expect_fin();
  EXPECT_EQ(State::kFinWait1, s->get_state());
  send({.flags = kTcpFin | kTcpAck, .seq = p.seq, .ack = p.ack - 1});
  EXPECT_EQ(State::kClosing, s->get_state());
  EXPECT_EQ(p.seq + 1, next().h.ack);
  ++p.seq;
  ack_from_peer();
  EXPECT_EQ(State::kClose, s->get_state());
  EXPECT_EQ(1u, tcp->time_waits.in_use());
}

TEST_F(Close, with_unread_data_resets) {
  connect();
  send({.flags = kTcpAck, .seq = p.seq, .ack = p.ack, .length = 5});
  out.clear();
  close(*s);
  EXPECT_EQ(kTcpRst | kTcpAck, next().h.flags);
  EXPECT_EQ(1u, counter(Mib::TcpExtTCPAbortOnClose));
  EXPECT_EQ(0u, tcp->socks.in_use());
}

TEST_F(Close, with_linger_zero_resets) {
  connect();
  inet::SockOptions* o = inet::own_options(*s);
  o->linger_on = true;
  o->linger_s = 0;
  close(*s);
  EXPECT_EQ(kTcpRst | kTcpAck, next().h.flags);
  EXPECT_EQ(1u, counter(Mib::TcpExtTCPAbortOnData));
  EXPECT_EQ(0u, tcp->socks.in_use());
}

TEST_F(Close, while_connecting_says_nothing) {
  s = &make();
  EXPECT_EQ(EINPROGRESS, code(tcp->connect(*s, theirs(), 9000)));
  run();
  next();
  close(*s);
  EXPECT_TRUE(silent());
  EXPECT_EQ(0u, tcp->socks.in_use());
}

TEST_F(Close, an_orphan_in_fin_wait2_is_a_time_wait_that_answers_data_with_a_reset) {
  connect();
  close(*s);
  expect_fin();
  ack_from_peer();
  EXPECT_EQ(0u, tcp->socks.in_use());
  EXPECT_EQ(1u, tcp->time_waits.in_use());
  send({.flags = kTcpAck, .seq = p.seq, .ack = p.ack, .length = 5});
  EXPECT_EQ(kTcpRst, next().h.flags);
  EXPECT_EQ(0u, tcp->time_waits.in_use());
}

TEST_F(Close, fin_wait2_of_an_orphan_ends_after_tcp_fin_timeout) {
  connect();
  ns.sysctl.tcp_fin_timeout.set(20);
  close(*s);
  expect_fin();
  ack_from_peer();
  advance(19'999);
  EXPECT_EQ(1u, tcp->time_waits.in_use());
  advance(1);
  EXPECT_EQ(0u, tcp->time_waits.in_use());
}

TEST_F(Close, a_fin_in_fin_wait2_starts_the_60_seconds_anew) {
  to_time_wait();
  advance(30'000);
  send({.flags = kTcpFin | kTcpAck, .seq = p.seq - 1, .ack = p.ack});  // ours was lost, the peer believes
  EXPECT_EQ(kTcpAck, next().h.flags);
  advance(59'999);
  EXPECT_EQ(1u, tcp->time_waits.in_use());
  advance(1);
  EXPECT_EQ(0u, tcp->time_waits.in_use());
}

TEST_F(Close, in_time_wait_what_is_old_is_acknowledged_twice_a_second_at_most) {
  to_time_wait();
  const Out old{.flags = kTcpSyn, .seq = p.seq - 100};
  send(old);
  const Seen ack = next();
  EXPECT_EQ(kTcpAck, ack.h.flags);
  EXPECT_EQ(p.seq, ack.h.ack);
  EXPECT_EQ(p.ack, ack.h.seq);
  send(old);
  EXPECT_TRUE(silent());
  EXPECT_EQ(1u, counter(Mib::TcpExtTCPACKSkippedTimeWait));
}

TEST_F(Close, a_reset_ends_a_time_wait_unless_rfc1337_forbids) {
  to_time_wait();
  ns.sysctl.tcp_rfc1337.set(1);
  send({.flags = kTcpRst, .seq = p.seq});
  EXPECT_EQ(1u, tcp->time_waits.in_use());
  ns.sysctl.tcp_rfc1337.set(0);
  send({.flags = kTcpRst, .seq = p.seq + 1});
  EXPECT_EQ(1u, tcp->time_waits.in_use());
  send({.flags = kTcpRst, .seq = p.seq});
  EXPECT_EQ(0u, tcp->time_waits.in_use());
}

TEST_F(Close, a_newer_syn_opens_a_connection_over_a_time_wait) {
  listen_on(80);
  const Peer q = open_passive();
  TcpSock* child = accept(*open.front());
  ASSERT_NE(nullptr, child);
  close(*child);
  EXPECT_EQ(q.ack, next().h.seq);
  send({.flags = kTcpFin | kTcpAck, .seq = q.seq, .ack = q.ack + 1});
  EXPECT_EQ(kTcpAck, next().h.flags);
  ASSERT_EQ(1u, tcp->time_waits.in_use());
  send({.flags = kTcpSyn, .seq = q.seq + 1000, .options = {.mss = 1460}});
  const Seen sa = next();
  EXPECT_EQ(kTcpSyn | kTcpAck, sa.h.flags);
  EXPECT_EQ(q.ack + 1 + 65537, sa.h.seq);
  EXPECT_EQ(0u, tcp->time_waits.in_use());
}

TEST_F(Close, connect_takes_the_port_of_a_time_wait_over_loopback_after_a_second) {
  const IpAddress lo = *IpAddress::parse("127.0.0.1");
  TcpSock& l = listen_on(80);
  ns.sysctl.ip_local_port_range[0].set(5000);
  ns.sysctl.ip_local_port_range[1].set(5000);
  s = &make();
  EXPECT_EQ(EINPROGRESS, code(tcp->connect(*s, lo, 80)));
  run();
  TcpSock* child = accept(l);
  ASSERT_NE(nullptr, child);
  close(*s);
  close(*child);
  advance(100);
  ASSERT_EQ(1u, tcp->time_waits.in_use());
  const auto again = [&] { return code(tcp->connect(make(), lo, 80)); };
  advance(900);
  EXPECT_EQ(EADDRNOTAVAIL, again());
  advance(1);
  ns.sysctl.tcp_tw_reuse.set(0);
  EXPECT_EQ(EADDRNOTAVAIL, again());
  ns.sysctl.tcp_tw_reuse.set(2);
  EXPECT_EQ(EINPROGRESS, again());
  run();
  EXPECT_EQ(State::kEstablished, open.back()->get_state());
  EXPECT_EQ(1u, counter(Mib::TcpExtTWRecycled));
  EXPECT_EQ(0u, tcp->time_waits.in_use());
}

TEST_F(Close, too_many_time_waits_are_counted_and_not_made) {
  ns.sysctl.tcp_max_tw_buckets.set(0);
  connect();
  close(*s);
  expect_fin();
  ack_from_peer();  // FIN_WAIT2 would go on as a time-wait
  EXPECT_EQ(0u, tcp->time_waits.in_use());
  EXPECT_EQ(1u, counter(Mib::TcpExtTCPTimeWaitOverflow));
}

// tests/scripts/close/too-many-orphans has it with 0 and two of them, as the kernel does.
TEST_F(Close, too_many_orphans_are_reset) {
  connect();
  ns.sysctl.tcp_max_orphans.set(-1);
  close(*s);
  expect_fin();
  EXPECT_EQ(kTcpRst | kTcpAck, next().h.flags);
  EXPECT_EQ(1u, counter(Mib::TcpExtTCPAbortOnMemory));
  EXPECT_EQ(0u, tcp->socks.in_use());
}

TEST_F(Close, shutdown_of_a_socket_that_is_not_connected_fails) {
  s = &make();
  EXPECT_EQ(ENOTCONN, code(tcp->shutdown(*s, SHUT_RDWR)));
  EXPECT_EQ(EINVAL, code(tcp->shutdown(*s, 3)));
}

TEST_F(Close, a_reset_from_the_peer_is_an_error_by_state) {
  connect();
  send({.flags = kTcpRst, .seq = p.seq});
  EXPECT_EQ(ECONNRESET, tcp->take_error(*s));
  EXPECT_EQ(1u, counter(Mib::TcpEstabResets));
  TcpSock& t = make();
  const Peer q = open_active(t);
  send({.flags = kTcpFin | kTcpAck, .seq = q.seq, .ack = q.ack});
  send({.flags = kTcpRst, .seq = q.seq + 1});
  EXPECT_EQ(EPIPE, tcp->take_error(t));
}

TEST_F(Close, ipv6_has_the_same_end) {
  v6 = true;
  s = &make(Family::kIpv6);
  p = open_active(*s);
  close(*s);
  expect_fin();
  ack_from_peer();
  fin_from_peer();
  EXPECT_EQ(kTcpAck, next().h.flags);
  EXPECT_EQ(1u, tcp->time_waits6.in_use());
  send({.flags = kTcpFin | kTcpAck, .seq = p.seq - 1, .ack = p.ack});
  EXPECT_EQ(kTcpAck, next().h.flags);
}

}  // namespace
}  // namespace leat::tcp
