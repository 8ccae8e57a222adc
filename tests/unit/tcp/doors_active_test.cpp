// The active open: connect(2), SYN_SENT, crossed SYNs, ICMP errors.
#include "unit/tcp/doors_net.h"

namespace leat::tcp {
namespace {

struct Active : DoorsTest {
  TcpSock& s = make();
  Events events;
  void SetUp() override { tcp->attach(s, &events); }
  void TearDown() override {
    if (!open.empty()) tcp->attach(s, nullptr);
  }

  Seen start(uint16_t port = 9000) {
    peer_port = port;
    EXPECT_EQ(EINPROGRESS, code(tcp->connect(s, theirs(), port)));
    run();
    const Seen syn = next();
    our_port = syn.h.src_port;
    return syn;
  }
};

TEST_F(Active, the_syn_offers_what_linux_offers) {
  const Seen syn = start();
  EXPECT_EQ(kTcpSyn, syn.h.flags);
  EXPECT_EQ(0u, syn.h.ack);
  EXPECT_EQ(64240, syn.h.window);
  EXPECT_EQ(1460, syn.h.options.mss);
  EXPECT_TRUE(syn.h.options.sack_permitted);
  EXPECT_TRUE(syn.h.options.has_timestamp);
  EXPECT_EQ(10, syn.h.options.wscale);
  EXPECT_EQ(1u, counter(Mib::TcpActiveOpens));
  EXPECT_EQ(State::kSynSent, s.get_state());
  EXPECT_EQ(0u, tcp->poll_events(s));
}

TEST_F(Active, a_second_connect_says_how_the_first_is_doing) {
  const Seen syn = start();
  EXPECT_EQ(EALREADY, code(tcp->connect(s, theirs(), 9000)));
  send({.flags = kTcpSyn | kTcpAck, .seq = 0xffffffff, .ack = syn.h.seq + 1, .options = syn_options()});
  const Seen ack = next();
  EXPECT_EQ(kTcpAck, ack.h.flags);
  EXPECT_EQ(syn.h.seq + 1, ack.h.seq);
  EXPECT_EQ(0u, ack.h.ack);
  EXPECT_EQ(uint32_t{EPOLLOUT}, events.take() & EPOLLOUT);
  EXPECT_EQ(State::kEstablished, s.get_state());
  EXPECT_EQ(1u, counter(Mib::TcpCurrEstab));
  EXPECT_EQ(0, code(tcp->connect(s, theirs(), 9000)));
  EXPECT_EQ(EISCONN, code(tcp->connect(s, theirs(), 9000)));
}

TEST_F(Active, a_reset_refuses) {
  const Seen syn = start();
  send({.flags = kTcpRst | kTcpAck, .seq = 0, .ack = syn.h.seq + 1});
  EXPECT_EQ(State::kClose, s.get_state());
  EXPECT_EQ(uint32_t{EPOLLERR | EPOLLHUP}, tcp->poll_events(s) & (EPOLLERR | EPOLLHUP));
  EXPECT_EQ(1u, counter(Mib::TcpAttemptFails));
  EXPECT_EQ(ECONNREFUSED, code(tcp->connect(s, theirs(), 9000)));
  EXPECT_EQ(0, tcp->take_error(s));
  start();  // and one may try again
}

TEST_F(Active, the_error_is_told_once) {
  const Seen syn = start();
  send({.flags = kTcpRst | kTcpAck, .seq = 0, .ack = syn.h.seq + 1});
  EXPECT_EQ(ECONNREFUSED, tcp->take_error(s));
  EXPECT_EQ(0, tcp->take_error(s));
  EXPECT_EQ(ECONNABORTED, code(tcp->connect(s, theirs(), 9000)));
}

TEST_F(Active, a_reset_that_acknowledges_something_else_is_ignored) {
  const Seen syn = start();
  send({.flags = kTcpRst | kTcpAck, .seq = 0, .ack = syn.h.seq});
  send({.flags = kTcpRst, .seq = 0});
  EXPECT_EQ(State::kSynSent, s.get_state());
}

TEST_F(Active, a_synack_of_something_else_is_reset) {
  const Seen syn = start();
  send({.flags = kTcpSyn | kTcpAck, .seq = 5, .ack = syn.h.seq + 2});
  const Seen rst = next();
  EXPECT_EQ(kTcpRst, rst.h.flags);
  EXPECT_EQ(syn.h.seq + 2, rst.h.seq);
  EXPECT_EQ(State::kSynSent, s.get_state());
  advance(3);  // and the SYN is sent again at once
  EXPECT_EQ(kTcpSyn, next().h.flags);
}

TEST_F(Active, a_synack_that_echoes_the_future_is_reset) {
  const Seen syn = start();
  wire::TcpOptions o = syn_options();
  o.tsecr = syn.h.options.tsval + 1000;
  send({.flags = kTcpSyn | kTcpAck, .seq = 5, .ack = syn.h.seq + 1, .options = o});
  EXPECT_EQ(kTcpRst, next().h.flags);
  EXPECT_EQ(1u, counter(Mib::TcpExtPAWSActive));
  o.tsecr = syn.h.options.tsval;
  send({.flags = kTcpSyn | kTcpAck, .seq = 5, .ack = syn.h.seq + 1, .options = o});
  EXPECT_EQ(State::kEstablished, s.get_state());
}

TEST_F(Active, syns_are_sent_after_1_2_3_4_5_7_11_seconds_and_so_on_and_then_it_times_out) {
  const uint32_t iss = start().h.seq;
  int64_t at = 0;
  for (const int64_t due : {1, 2, 3, 4, 5, 7, 11, 19, 35, 67}) {
    advance((due - at) * 1000 - 1);
    EXPECT_TRUE(silent()) << due;
    advance(1);
    EXPECT_EQ(iss, next().h.seq) << due;
    at = due;
  }
  advance(63'999);
  EXPECT_EQ(State::kSynSent, s.get_state());
  advance(1);
  EXPECT_EQ(State::kClose, s.get_state());
  EXPECT_EQ(ETIMEDOUT, tcp->take_error(s));
}

TEST_F(Active, crossed_syns_make_one_connection) {
  const Seen syn = start();
  send({.flags = kTcpSyn, .seq = 0xffffffff, .options = syn_options()});
  EXPECT_EQ(State::kSynRecv, s.get_state());
  const Seen sa = next();
  EXPECT_EQ(kTcpSyn | kTcpAck, sa.h.flags);
  EXPECT_EQ(syn.h.seq, sa.h.seq);
  EXPECT_EQ(0u, sa.h.ack);
  send({.flags = kTcpSyn | kTcpAck, .seq = 0xffffffff, .ack = syn.h.seq + 1, .options = ts(101, sa.h.options.tsval)});
  EXPECT_EQ(State::kEstablished, s.get_state());
}

TEST_F(Active, a_socket_may_connect_to_itself) {
  const IpAddress lo = *IpAddress::parse("127.0.0.1");
  ASSERT_EQ(0, code(tcp->bind(s, lo, 5555, false)));
  EXPECT_EQ(EINPROGRESS, code(tcp->connect(s, lo, 5555)));
  run();
  EXPECT_EQ(State::kEstablished, s.get_state());
}

TEST_F(Active, connect_to_any_means_this_host) {
  listen_on(80);
  EXPECT_EQ(EINPROGRESS, code(tcp->connect(s, IpAddress::any(Family::kIpv4), 80)));
  run();
  EXPECT_EQ(State::kEstablished, s.get_state());
  EXPECT_EQ("127.0.0.1", s.remote().to_string());
  EXPECT_EQ("127.0.0.1", s.local().to_string());
}

TEST_F(Active, impossible_destinations_fail_at_once) {
  EXPECT_EQ(ENETUNREACH, code(tcp->connect(s, *IpAddress::parse("192.0.2.1"), 80)));
  EXPECT_EQ(ENETUNREACH, code(tcp->connect(s, *IpAddress::parse("224.0.0.1"), 80)));
  EXPECT_EQ(ENETUNREACH, code(tcp->connect(s, *IpAddress::parse("10.0.0.255"), 80)));
  EXPECT_EQ(EAFNOSUPPORT, code(tcp->connect(s, *IpAddress::parse("fd00::2"), 80)));
  EXPECT_EQ(State::kClose, s.get_state());
  TcpSock& six = make(Family::kIpv6);
  EXPECT_EQ(EAFNOSUPPORT, code(tcp->connect(six, theirs(), 80)));
  six.v6only = 1;
  EXPECT_EQ(ENETUNREACH, code(tcp->connect(six, theirs().to_v4_mapped(), 80)));
  six.v6only = 0;
  EXPECT_EQ(EINPROGRESS, code(tcp->connect(six, theirs().to_v4_mapped(), 80)));
  EXPECT_EQ("10.0.0.2", six.remote().to_string());
}

TEST_F(Active, ports_that_run_out_leave_nothing_behind) {
  ns.sysctl.ip_local_port_range[0].set(50000);
  ns.sysctl.ip_local_port_range[1].set(50001);
  for (int i = 0; i < 2; ++i)
    EXPECT_EQ(EINPROGRESS, code(tcp->connect(make(), theirs(), 9000)));
  EXPECT_EQ(EADDRNOTAVAIL, code(tcp->connect(s, theirs(), 9000)));
  EXPECT_EQ(State::kClose, s.get_state());
  EXPECT_TRUE(s.local().is_any());
  EXPECT_EQ(EINPROGRESS, code(tcp->connect(s, theirs(), 9001)));  // another destination, the same ports
}

TEST_F(Active, disconnect_resets_and_the_socket_is_as_new) {
  const Peer p = open_active(s);
  EXPECT_EQ(0, code(tcp->disconnect(s)));
  run();
  const Seen rst = next();
  EXPECT_EQ(kTcpRst | kTcpAck, rst.h.flags);
  EXPECT_EQ(p.ack, rst.h.seq);
  EXPECT_EQ(ECONNRESET, tcp->take_error(s));
  EXPECT_EQ(0u, counter(Mib::TcpCurrEstab));
  EXPECT_EQ(1u, counter(Mib::TcpEstabResets));
  open_active(s);
}

TEST_F(Active, an_unreachable_ends_a_connection_that_is_being_made) {
  const Seen syn = start();
  Seen wrong = syn;
  wrong.h.seq -= 1;
  send_icmp(3, 1, wrong);
  EXPECT_EQ(1u, counter(Mib::TcpExtOutOfWindowIcmps));
  EXPECT_EQ(State::kSynSent, s.get_state());
  send_icmp(3, 1, syn);
  EXPECT_EQ(State::kClose, s.get_state());
  EXPECT_EQ(EHOSTUNREACH, tcp->take_error(s));
}

TEST_F(Active, an_unreachable_is_only_noted_by_one_that_is_made) {
  open_active(s);
  iovec v{const_cast<char*>("x"), 1};
  ASSERT_EQ(1u, tcp->send(s, {&v, 1}, 0).value());
  run();
  send_icmp(3, 1, next());
  EXPECT_EQ(State::kEstablished, s.get_state());
  EXPECT_EQ(0, s.error);
  EXPECT_EQ(EHOSTUNREACH, s.soft_error);
}

TEST_F(Active, an_unreachable_about_a_synack_ends_the_request_silently) {
  listen_on(80);
  peer_port = 40000;
  send({.flags = kTcpSyn, .seq = 5, .options = {.mss = 1460}});
  const Seen sa = next();
  send_icmp(3, 3, sa);  // a port does not answer a SYN-ACK with this
  EXPECT_EQ(1u, tcp->requests.in_use());
  send_icmp(3, 1, sa);
  EXPECT_EQ(0u, tcp->requests.in_use());
}

TEST_F(Active, an_icmp_about_nothing_of_ours_is_an_error) {
  Seen s1;
  s1.h.src_port = 1;
  s1.h.dst_port = 2;
  send_icmp(3, 1, s1);
  EXPECT_EQ(1u, counter(Mib::IcmpInErrors));
}

TEST_F(Active, destroy_aborts) {
  open_active(s);
  EXPECT_EQ(0, code(tcp->destroy(s, ECONNABORTED)));
  run();
  EXPECT_EQ(kTcpRst | kTcpAck, next().h.flags);
  EXPECT_EQ(ECONNABORTED, tcp->take_error(s));
  EXPECT_EQ(ENOENT, code(tcp->destroy(s, ECONNABORTED)));
}

TEST_F(Active, initial_sequence_numbers_are_keyed_and_move_with_time) {
  const inet::FourTuple t{ours(), theirs(), 1, 2}, u{ours(), theirs(), 1, 3};
  const Seq a = select_iss(*tcp, t);
  EXPECT_NE(a, select_iss(*tcp, u));
  ns.set_now(ns.now() + Duration::from_ns(6400));
  EXPECT_EQ(a + 100, select_iss(*tcp, t));
}

}  // namespace
}  // namespace leat::tcp
