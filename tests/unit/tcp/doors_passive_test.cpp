// The passive open: SYN, request, SYN cookie, child, accept queue.
#include "unit/tcp/doors_net.h"

namespace leat::tcp {
namespace {

struct Passive : DoorsTest {};

TEST_F(Passive, a_syn_is_answered_with_what_both_ends_can_do) {
  listen_on(80);
  send({.flags = kTcpSyn, .seq = 0xffffffff, .options = syn_options(100)});
  const Seen s = next();
  EXPECT_EQ(kTcpSyn | kTcpAck, s.h.flags);
  EXPECT_EQ(0u, s.h.ack);
  EXPECT_EQ(65160, s.h.window);  // 45 segments of 1448
  EXPECT_EQ(1460, s.h.options.mss);
  EXPECT_TRUE(s.h.options.sack_permitted);
  EXPECT_TRUE(s.h.options.has_wscale);
  EXPECT_EQ(10, s.h.options.wscale);
  EXPECT_TRUE(s.h.options.has_timestamp);
  EXPECT_EQ(100u, s.h.options.tsecr);
  EXPECT_TRUE(silent());
}

TEST_F(Passive, options_that_the_peer_does_not_offer_or_a_sysctl_forbids_are_not_answered) {
  listen_on(80);
  send({.flags = kTcpSyn, .seq = 1, .options = {.mss = 1460}});
  Seen s = next();
  EXPECT_FALSE(s.h.options.sack_permitted);
  EXPECT_FALSE(s.h.options.has_wscale);
  EXPECT_FALSE(s.h.options.has_timestamp);
  ns.sysctl.tcp_sack.set(0);
  ns.sysctl.tcp_timestamps.set(0);
  ns.sysctl.tcp_window_scaling.set(0);
  ++peer_port;
  send({.flags = kTcpSyn, .seq = 1, .options = syn_options()});
  s = next();
  EXPECT_FALSE(s.h.options.sack_permitted);
  EXPECT_FALSE(s.h.options.has_wscale);
  EXPECT_FALSE(s.h.options.has_timestamp);
}

TEST_F(Passive, the_third_segment_makes_a_connection_that_accept_gives) {
  TcpSock& l = listen_on(80);
  Events events;
  tcp->attach(l, &events);
  EXPECT_EQ(EAGAIN, code(tcp->accept(l)));
  EXPECT_EQ(0u, tcp->poll_events(l));
  open_passive();
  EXPECT_EQ(uint32_t{EPOLLIN | EPOLLRDNORM}, events.take());
  EXPECT_EQ(uint32_t{EPOLLIN | EPOLLRDNORM}, tcp->poll_events(l));
  EXPECT_EQ(1u, counter(Mib::TcpPassiveOpens));
  EXPECT_EQ(1u, counter(Mib::TcpCurrEstab));
  EXPECT_EQ(0u, tcp->requests.in_use());
  TcpSock* s = accept(l);
  ASSERT_NE(nullptr, s);
  EXPECT_EQ(State::kEstablished, s->get_state());
  EXPECT_EQ(theirs(), s->remote());
  EXPECT_EQ(40000, s->remote_port);
  EXPECT_EQ(80, s->local_port);
  EXPECT_EQ(0u, tcp->poll_events(l));
  tcp->attach(l, nullptr);
}

TEST_F(Passive, data_on_the_third_segment_is_kept) {
  TcpSock& l = listen_on(80);
  send({.flags = kTcpSyn, .seq = 0xfffffffe, .options = {.mss = 1460}});
  const Seen sa = next();
  send({.flags = kTcpAck, .seq = 0xffffffff, .ack = sa.h.seq + 1, .length = 10});
  TcpSock* s = accept(l);
  ASSERT_NE(nullptr, s);
  EXPECT_EQ(10u, s->conn->rcv_nxt - s->conn->copied_seq);
}

TEST_F(Passive, a_synack_is_sent_again_after_1_3_7_15_and_31_seconds_and_the_request_ends_after_63) {
  listen_on(80);
  send({.flags = kTcpSyn, .seq = 5, .options = {.mss = 1460}});
  const uint32_t isn = next().h.seq;
  int64_t at = 0;
  for (const int64_t due : {1, 3, 7, 15, 31}) {
    advance((due - at) * 1000 - 1);
    EXPECT_TRUE(silent()) << due;
    advance(1);
    EXPECT_EQ(isn, next().h.seq) << due;
    at = due;
  }
  advance(31999);
  EXPECT_EQ(1u, tcp->requests.in_use());
  advance(1);
  EXPECT_TRUE(silent());
  EXPECT_EQ(0u, tcp->requests.in_use());
  EXPECT_EQ(5u, counter(Mib::TcpRetransSegs));
  EXPECT_EQ(5u, counter(Mib::TcpExtTCPSynRetrans));
  EXPECT_EQ(6u, counter(Mib::TcpExtTCPTimeouts));
}

TEST_F(Passive, a_retransmitted_syn_gets_the_same_synack_twice_a_second_at_most) {
  listen_on(80);
  const Out syn{.flags = kTcpSyn, .seq = 5, .options = {.mss = 1460}};
  send(syn);
  const uint32_t isn = next().h.seq;
  send(syn);
  EXPECT_EQ(isn, next().h.seq);
  send(syn);
  EXPECT_TRUE(silent());
  EXPECT_EQ(1u, counter(Mib::TcpExtTCPACKSkippedSynRecv));
}

TEST_F(Passive, a_reset_ends_a_request) {
  listen_on(80);
  send({.flags = kTcpSyn, .seq = 5, .options = {.mss = 1460}});
  next();
  send({.flags = kTcpRst, .seq = 6});
  EXPECT_EQ(0u, tcp->requests.in_use());
  EXPECT_EQ(1u, counter(Mib::TcpExtEmbryonicRsts));
  EXPECT_EQ(1u, counter(Mib::TcpAttemptFails));
  EXPECT_TRUE(silent());
}

TEST_F(Passive, a_reset_outside_the_window_does_not) {
  listen_on(80);
  send({.flags = kTcpSyn, .seq = 5, .options = {.mss = 1460}});
  next();
  send({.flags = kTcpRst, .seq = 5 + 70000});
  EXPECT_EQ(1u, tcp->requests.in_use());
  EXPECT_TRUE(silent());
}

TEST_F(Passive, an_ack_of_something_else_is_reset_and_the_request_stays) {
  listen_on(80);
  send({.flags = kTcpSyn, .seq = 5, .options = {.mss = 1460}});
  const uint32_t isn = next().h.seq;
  send({.flags = kTcpAck, .seq = 6, .ack = isn + 2});
  const Seen rst = next();
  EXPECT_EQ(kTcpRst, rst.h.flags);
  EXPECT_EQ(isn + 2, rst.h.seq);
  EXPECT_EQ(1u, tcp->requests.in_use());
}

TEST_F(Passive, a_timestamp_that_no_synack_carried_is_not_believed) {
  TcpSock& l = listen_on(80);
  send({.flags = kTcpSyn, .seq = 5, .options = syn_options(100)});
  const Seen sa = next();
  send({.flags = kTcpAck, .seq = 6, .ack = sa.h.seq + 1, .options = ts(101, sa.h.options.tsval + 1)});
  EXPECT_EQ(nullptr, accept(l));
  EXPECT_EQ(1u, counter(Mib::TcpExtTSEcrRejected));
  EXPECT_EQ(kTcpAck, next().h.flags);
  send({.flags = kTcpAck, .seq = 6, .ack = sa.h.seq + 1, .options = ts(101, sa.h.options.tsval)});
  EXPECT_NE(nullptr, accept(l));
}

TEST_F(Passive, when_the_accept_queue_is_full_syns_and_third_segments_are_dropped) {
  TcpSock& l = listen_on(80, 0);  // room for one
  send({.flags = kTcpSyn, .seq = 5, .options = {.mss = 1460}});
  const Seen first = next();
  ++peer_port;
  open_passive();
  ++peer_port;
  send({.flags = kTcpSyn, .seq = 5, .options = {.mss = 1460}});
  EXPECT_TRUE(silent());
  EXPECT_EQ(1u, counter(Mib::TcpExtListenOverflows));
  EXPECT_EQ(1u, counter(Mib::TcpExtListenDrops));
  peer_port -= 2;
  send({.flags = kTcpAck, .seq = 6, .ack = first.h.seq + 1});
  EXPECT_EQ(2u, counter(Mib::TcpExtListenOverflows));
  EXPECT_NE(nullptr, accept(l));
  send({.flags = kTcpAck, .seq = 6, .ack = first.h.seq + 1});
  EXPECT_NE(nullptr, accept(l));
}

TEST_F(Passive, with_abort_on_overflow_the_peer_is_told) {
  listen_on(80, 0);
  ns.sysctl.tcp_abort_on_overflow.set(1);
  send({.flags = kTcpSyn, .seq = 5, .options = {.mss = 1460}});
  const Seen first = next();
  ++peer_port;
  open_passive();
  --peer_port;
  send({.flags = kTcpAck, .seq = 6, .ack = first.h.seq + 1});
  EXPECT_EQ(kTcpRst, next().h.flags);
  EXPECT_EQ(0u, tcp->requests.in_use());
}

TEST_F(Passive, with_defer_accept_only_data_makes_a_connection) {
  TcpSock& l = listen_on(80);
  inet::own_options(l)->defer_accept_s = 1;
  send({.flags = kTcpSyn, .seq = 5, .options = {.mss = 1460}});
  const Seen sa = next();
  send({.flags = kTcpAck, .seq = 6, .ack = sa.h.seq + 1});
  EXPECT_EQ(nullptr, accept(l));
  EXPECT_EQ(1u, counter(Mib::TcpExtTCPDeferAcceptDrop));
  send({.flags = kTcpAck | kTcpPsh, .seq = 6, .ack = sa.h.seq + 1, .length = 3});
  EXPECT_NE(nullptr, accept(l));
}

TEST_F(Passive, a_cookie_remembers_mss_scale_and_sack) {
  TcpSock& l = listen_on(80);
  ns.sysctl.tcp_syncookies.set(2);
  send({.flags = kTcpSyn, .seq = 0xffffffff, .options = syn_options(100)});
  const Seen sa = next();
  EXPECT_EQ(0u, tcp->requests.in_use());
  EXPECT_EQ(1u, counter(Mib::TcpExtSyncookiesSent));
  send({.flags = kTcpAck, .seq = 0, .ack = sa.h.seq + 1, .options = ts(101, sa.h.options.tsval)});
  EXPECT_EQ(1u, counter(Mib::TcpExtSyncookiesRecv));
  TcpSock* s = accept(l);
  ASSERT_NE(nullptr, s);
  EXPECT_EQ(State::kEstablished, s->get_state());
  EXPECT_EQ(7, s->conn->rx_opt.snd_wscale);
  EXPECT_EQ(10, s->conn->rx_opt.rcv_wscale);
  EXPECT_TRUE(s->conn->rx_opt.sack_ok);
  EXPECT_EQ(1460, s->conn->rx_opt.mss_clamp);
}

TEST_F(Passive, a_cookie_is_good_for_two_minutes) {
  TcpSock& l = listen_on(80);
  ns.sysctl.tcp_syncookies.set(2);
  send({.flags = kTcpSyn, .seq = 7, .options = {.mss = 1300}});
  const Seen sa = next();
  advance(59'000);
  // The low bits of a cookie name the MSS: only what is farther off than the table is long is no cookie.
  send({.flags = kTcpAck, .seq = 8, .ack = sa.h.seq + 1001});
  EXPECT_EQ(1u, counter(Mib::TcpExtSyncookiesFailed));
  EXPECT_EQ(kTcpRst, next().h.flags);
  send({.flags = kTcpAck, .seq = 8, .ack = sa.h.seq + 1});
  TcpSock* s = accept(l);
  ASSERT_NE(nullptr, s);
  EXPECT_EQ(1300, s->conn->rx_opt.mss_clamp);
  ++peer_port;
  send({.flags = kTcpSyn, .seq = 7, .options = {.mss = 1300}});
  const Seen second = next();
  advance(121'000);
  send({.flags = kTcpAck, .seq = 8, .ack = second.h.seq + 1});
  EXPECT_EQ(kTcpRst, next().h.flags);
}

TEST_F(Passive, cookies_are_sent_when_the_queue_of_requests_is_full_and_not_before) {
  listen_on(80, 2);
  for (int i = 0; i < 4; ++i, ++peer_port) {
    send({.flags = kTcpSyn, .seq = 7, .options = {.mss = 1460}});
    next();
  }
  EXPECT_EQ(3u, tcp->requests.in_use());
  EXPECT_EQ(1u, counter(Mib::TcpExtTCPReqQFullDoCookies));
  EXPECT_EQ(1u, counter(Mib::TcpExtSyncookiesSent));
  ns.sysctl.tcp_syncookies.set(0);
  send({.flags = kTcpSyn, .seq = 7, .options = {.mss = 1460}});
  EXPECT_TRUE(silent());
  EXPECT_EQ(1u, counter(Mib::TcpExtTCPReqQFullDrop));
}

TEST_F(Passive, closing_a_listener_resets_what_was_not_accepted_and_forgets_requests) {
  TcpSock& l = listen_on(80);
  const Peer p = open_passive();
  ++peer_port;
  send({.flags = kTcpSyn, .seq = 7, .options = {.mss = 1460}});
  next();
  close(l);
  const Seen rst = next();
  EXPECT_EQ(kTcpRst | kTcpAck, rst.h.flags);
  EXPECT_EQ(p.ack, rst.h.seq);
  EXPECT_EQ(0u, tcp->requests.in_use());
  EXPECT_EQ(0u, tcp->socks.in_use());
  EXPECT_EQ(0u, tcp->counts.orphans);
  send({.flags = kTcpSyn, .seq = 7, .options = {.mss = 1460}});
  EXPECT_EQ(kTcpRst | kTcpAck, next().h.flags);
}

TEST_F(Passive, ecn_is_agreed_on_when_the_syn_asks_and_is_not_marked) {
  listen_on(80);
  send({.flags = kTcpSyn | kTcpEce | kTcpCwr, .seq = 7, .options = {.mss = 1460}});
  EXPECT_EQ(kTcpSyn | kTcpAck | kTcpEce, next().h.flags);
  ++peer_port;
  send({.flags = kTcpSyn | kTcpEce | kTcpCwr, .seq = 7, .options = {.mss = 1460}, .tos = 2});
  EXPECT_EQ(kTcpSyn | kTcpAck, next().h.flags);
}

TEST_F(Passive, a_dual_stack_listener_takes_both_families) {
  TcpSock& l = listen_on(80, 8, Family::kIpv6);
  open_passive();
  TcpSock* four = accept(l);
  ASSERT_NE(nullptr, four);
  EXPECT_EQ(Family::kIpv6, four->family.load());
  EXPECT_EQ("10.0.0.2", four->remote().to_string());
  v6 = true;
  const Peer p = open_passive();
  TcpSock* six = accept(l);
  ASSERT_NE(nullptr, six);
  EXPECT_EQ("fd00::2", six->remote().to_string());
  send({.flags = kTcpFin | kTcpAck, .seq = p.seq, .ack = p.ack});
  EXPECT_EQ(State::kCloseWait, six->get_state());
}

TEST_F(Passive, memory_that_is_out_drops_the_syn_and_nothing_leaks) {
  TcpSock& l = listen_on(80);
  tcp->requests.set_limit(0);
  send({.flags = kTcpSyn, .seq = 7, .options = {.mss = 1460}});
  EXPECT_TRUE(silent());
  EXPECT_EQ(1u, counter(Mib::TcpExtListenDrops));
  tcp->requests.set_limit(SIZE_MAX);
  send({.flags = kTcpSyn, .seq = 7, .options = {.mss = 1460}});
  const Seen sa = next();
  tcp->conns.set_limit(1);
  send({.flags = kTcpAck, .seq = 8, .ack = sa.h.seq + 1});
  EXPECT_EQ(nullptr, accept(l));
  EXPECT_EQ(1u, tcp->socks.in_use());
  tcp->conns.set_limit(SIZE_MAX);
  send({.flags = kTcpAck, .seq = 8, .ack = sa.h.seq + 1});
  EXPECT_NE(nullptr, accept(l));
}

TEST_F(Passive, listen_and_bind_fail_as_on_linux) {
  TcpSock& l = listen_on(80);
  TcpSock& s = make();
  EXPECT_EQ(EINVAL, code(tcp->accept(s)));
  EXPECT_EQ(EADDRINUSE, code(tcp->bind(s, IpAddress::any(Family::kIpv4), 80, true)));
  EXPECT_EQ(EACCES, code(tcp->bind(s, IpAddress::any(Family::kIpv4), 81, false)));
  EXPECT_EQ(EADDRNOTAVAIL, code(tcp->bind(s, *IpAddress::parse("10.0.0.9"), 8080, false)));
  EXPECT_EQ(EAFNOSUPPORT, code(tcp->bind(s, IpAddress::any(Family::kIpv6), 8080, false)));
  EXPECT_EQ(0, code(tcp->bind(s, ours(), 8080, false)));
  EXPECT_EQ(EINVAL, code(tcp->bind(s, ours(), 8081, false)));
  EXPECT_EQ(EINVAL, code(tcp->bind(l, ours(), 8081, false)));
  EXPECT_EQ(EISCONN, code(tcp->connect(l, theirs(), 80)));
  EXPECT_EQ(0, code(tcp->shutdown(l, SHUT_RD)));
  EXPECT_EQ(State::kClose, l.get_state());
  EXPECT_EQ(0, code(tcp->listen(l, 1)));
}

}  // namespace
}  // namespace leat::tcp
