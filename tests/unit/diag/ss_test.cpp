// The table of ss against lines as iproute2 6.1 prints them (without the blanks at their ends).
#include "diag/ss.h"

#include <gtest/gtest.h>

namespace leat::diag {
namespace {

using inet::State;

SocketRow row(State state, const char* local, uint16_t local_port, const char* remote, uint16_t remote_port) {
  SocketRow r;
  r.state = state;
  r.local = *IpAddress::parse(local);
  r.remote = *IpAddress::parse(remote);
  r.local_port = local_port;
  r.remote_port = remote_port;
  r.family = r.local.family();
  r.has_details = true;
  r.has_file = true;
  return r;
}

SsOptions options(std::vector<std::string> words) {
  SsOptions o;
  std::string error;
  EXPECT_TRUE(parse_ss_options(words, o, error)) << error;
  return o;
}

std::vector<SocketRow> sample() {
  SocketRow listener = row(State::kListen, "127.0.0.1", 5555, "0.0.0.0", 0);
  listener.send_q = 128;
  listener.cookie = 2;
  SocketRow busy = row(State::kEstablished, "127.0.0.1", 5555, "127.0.0.1", 35074);
  busy.recv_q = 100000;
  busy.timer = RowTimer::kKeepalive;
  busy.timer_ms = 7199000;
  busy.cookie = 6;
  SocketRow tw = row(State::kTimeWait, "127.0.0.1", 35082, "127.0.0.1", 5555);
  tw.timer = RowTimer::kTimeWait;
  tw.timer_ms = 59900;
  tw.has_details = tw.has_file = false;
  SocketRow dual = row(State::kListen, "::", 8080, "::", 0);
  dual.send_q = 16;
  dual.cookie = 3;
  SocketRow mapped = row(State::kEstablished, "127.0.0.1", 35096, "127.0.0.1", 5555);
  mapped.family = Family::kIpv6;
  mapped.cookie = 9;
  SocketRow half = row(State::kCloseWait, "::1", 53278, "::1", 8080);
  half.recv_q = 1;
  half.shutdown = inet::kRcvShutdown;
  half.cookie = 8;
  SocketRow udp = row(State::kClose, "0.0.0.0", 53, "0.0.0.0", 0);
  udp.is_udp = true;
  udp.cookie = 0x1001;
  return {listener, busy, tw, dual, mapped, half, udp};
}

TEST(Ss, ColumnsAreAsWideAsTheirWidestCell) {
  EXPECT_EQ(format_sockets(options({"-tan"}), sample()),
            "State      Recv-Q Send-Q      Local Address:Port        Peer Address:Port Process\n"
            "LISTEN     0      128             127.0.0.1:5555             0.0.0.0:*\n"
            "ESTAB      100000 0               127.0.0.1:5555           127.0.0.1:35074\n"
            "TIME-WAIT  0      0               127.0.0.1:35082          127.0.0.1:5555\n"
            "LISTEN     0      16                      *:8080                   *:*\n"
            "ESTAB      0      0      [::ffff:127.0.0.1]:35096 [::ffff:127.0.0.1]:5555\n"
            "CLOSE-WAIT 1      0                   [::1]:53278              [::1]:8080\n");
}

TEST(Ss, NothingToShowLeavesTheHeaderWhosePortColumnIsNarrow) {
  EXPECT_EQ(format_sockets(options({"-t"}), {}), "State Recv-Q Send-Q Local Address:Port Peer Address:PortProcess\n");
  EXPECT_EQ(format_sockets(options({"-tuanie"}), {}),
            "Netid State Recv-Q Send-Q Local Address:Port Peer Address:PortProcess\n");
  EXPECT_EQ(format_sockets(options({"-u"}), {}), "Recv-Q Send-Q Local Address:Port Peer Address:PortProcess\n");
  EXPECT_EQ(format_sockets(options({"-tH"}), {}), "");
}

TEST(Ss, AStateThatWasAskedForIsNotRepeated) {
  EXPECT_EQ(format_sockets(options({"-tn", "state", "established"}), sample()),
            "Recv-Q Send-Q      Local Address:Port        Peer Address:Port Process\n"
            "100000 0               127.0.0.1:5555           127.0.0.1:35074\n"
            "0      0      [::ffff:127.0.0.1]:35096 [::ffff:127.0.0.1]:5555\n");
}

TEST(Ss, ExtendedShowsTimersNumbersAndHalfClosedDirections) {
  EXPECT_EQ(format_sockets(options({"-tuane"}), sample()),
            "Netid State      Recv-Q Send-Q      Local Address:Port        Peer Address:Port Process\n"
            "tcp   LISTEN     0      128             127.0.0.1:5555             0.0.0.0:*     ino:2 sk:2 <->\n"
            "tcp   ESTAB      100000 0               127.0.0.1:5555           127.0.0.1:35074 "
            "timer:(keepalive,119min,0) ino:6 sk:6 <->\n"
            "tcp   TIME-WAIT  0      0               127.0.0.1:35082          127.0.0.1:5555  "
            "timer:(timewait,59sec,0) ino:0 sk:0\n"
            "tcp   LISTEN     0      16                      *:8080                   *:*     ino:3 sk:3 v6only:0 <->\n"
            "tcp   ESTAB      0      0      [::ffff:127.0.0.1]:35096 [::ffff:127.0.0.1]:5555  ino:9 sk:9 <->\n"
            "tcp   CLOSE-WAIT 1      0                   [::1]:53278              [::1]:8080  ino:8 sk:8 -->\n"
            "udp   UNCONN     0      0                 0.0.0.0:53               0.0.0.0:*     ino:4097 sk:1001 <->\n");
}

TEST(Ss, ListeningFamiliesAndDefaultsSelectRows) {
  auto count = [](std::vector<std::string> words) {
    const SsOptions o = options(std::move(words));
    int n = 0;
    for (const SocketRow& r : sample())
      n += is_wanted(o, r) ? 1 : 0;
    return n;
  };
  EXPECT_EQ(count({}), 3);  // ESTAB, ESTAB, CLOSE-WAIT
  EXPECT_EQ(count({"-a"}), 7);
  EXPECT_EQ(count({"-l"}), 3);  // two listeners and UNCONN
  EXPECT_EQ(count({"-tl"}), 2);
  EXPECT_EQ(count({"-4a"}), 4);
  EXPECT_EQ(count({"-6a"}), 3);
  EXPECT_EQ(count({"-u", "-a"}), 1);
  EXPECT_EQ(count({"-ta", "exclude", "listening", "exclude", "time-wait"}), 3);
  EXPECT_EQ(count({"-t", "state", "listening", "state", "close-wait"}), 3);
}

TEST(Ss, TimersAreWrittenAsSsWritesThem) {
  auto timer = [](int64_t ms) {
    SocketRow r = row(State::kEstablished, "10.0.0.1", 1, "10.0.0.2", 2);
    r.timer = RowTimer::kOn;
    r.timer_ms = ms;
    r.timer_retrans = 3;
    const std::string line = format_sockets(options({"-tnoH"}), std::vector{r});
    return line.substr(line.find("timer:"));
  };
  EXPECT_EQ(timer(200), "timer:(on,200ms,3)\n");
  EXPECT_EQ(timer(5), "timer:(on,005ms,3)\n");
  EXPECT_EQ(timer(1500), "timer:(on,1.500ms,3)\n");
  EXPECT_EQ(timer(9000), "timer:(on,9sec,3)\n");
  EXPECT_EQ(timer(10999), "timer:(on,10sec,3)\n");
  EXPECT_EQ(timer(65000), "timer:(on,1min5sec,3)\n");
  EXPECT_EQ(timer(7200000), "timer:(on,120min,3)\n");
  EXPECT_EQ(timer(-5), "timer:(on,,3)\n");
}

TEST(Ss, MemoryStandsOnALineOfItsOwn) {
  SocketRow r = row(State::kEstablished, "10.0.0.1", 80, "10.0.0.2", 12345);
  r.memory = {.rmem = 833,
              .rcvbuf = 131072,
              .wmem = 1,
              .sndbuf = 16384,
              .forward = 2,
              .wmem_queued = 3,
              .optmem = 4,
              .backlog = 5,
              .drops = 6};
  EXPECT_EQ(format_sockets(options({"-tnm"}), std::vector{r}),
            "State Recv-Q Send-Q Local Address:Port Peer Address:Port Process\n"
            "ESTAB 0      0           10.0.0.1:80       10.0.0.2:12345\n"
            "\t skmem:(r833,rb131072,t1,tb16384,f2,w3,o4,bl5,d6)\n");
}

TEST(Ss, BoundDevicesAndLinkLocalAddresses) {
  SocketRow r = row(State::kListen, "fe80::1", 22, "::", 0);
  r.v6only = true;
  r.device = "leat0";
  EXPECT_EQ(format_sockets(options({"-tlnH"}), std::vector{r}), "LISTEN 0 0 [fe80::1]%leat0:22 [::]:*\n");
}

SocketRow informed() {
  SocketRow r = row(State::kEstablished, "127.0.0.1", 5555, "127.0.0.1", 40806);
  r.has_info = true;
  r.congestion = "cubic";
  tcp::TcpInfo& i = r.info;
  i.options = tcp::kInfoTimestamps | tcp::kInfoSack | tcp::kInfoWscale;
  i.snd_wscale = 10;
  i.rcv_wscale = 7;
  i.rto = 204000;
  i.rtt = 18;
  i.rttvar = 9;
  i.ato = 40000;
  i.snd_mss = 32768;
  i.pmtu = 65535;
  i.rcv_mss = 536;
  i.advmss = 65483;
  i.snd_cwnd = 10;
  i.snd_ssthresh = 0x7fffffff;
  i.bytes_received = 1;
  i.segs_out = 1;
  i.segs_in = 3;
  i.data_segs_in = 1;
  i.last_data_sent = i.last_data_recv = i.last_ack_recv = 16;
  i.pacing_rate = 52025596899;
  i.max_pacing_rate = ~uint64_t{0};
  i.delivered = 1;
  i.delivery_rate_app_limited = 1;
  i.rcv_space = i.rcv_ssthresh = 65483;
  i.reordering = 3;
  i.min_rtt = 18;
  i.snd_wnd = 65536;
  return r;
}

TEST(Ss, InfoHasTheFieldsOfARealConnectionInSsOrder) {
  EXPECT_EQ(format_tcp_info(informed(), true, false),
            " ts sack cubic wscale:10,7 rto:204 rtt:0.018/0.009 ato:40 mss:32768 pmtu:65535 rcvmss:536 advmss:65483"
            " cwnd:10 bytes_received:1 segs_out:1 segs_in:3 data_segs_in:1 send 145635555556bps lastsnd:16 lastrcv:16"
            " lastack:16 pacing_rate 416204775192bps delivered:1 app_limited rcv_space:65483 rcv_ssthresh:65483"
            " minrtt:0.018 snd_wnd:65536");
}

TEST(Ss, OptionsOfTheConnectionAreShownOnlyWithTimersOrExtended) {
  EXPECT_TRUE(format_tcp_info(informed(), false, false).starts_with(" cubic wscale:10,7 rto:204"));
}

TEST(Ss, InfoShowsTroubleWhereThereIsSome) {
  SocketRow r = informed();
  r.info.backoff = 2;
  r.info.snd_ssthresh = 7;
  r.info.busy_time = 2000000;
  r.info.rwnd_limited = 500000;
  r.info.sndbuf_limited = 1000;
  r.info.unacked = 4;
  r.info.retrans = 1;
  r.info.total_retrans = 12;
  r.info.lost = 2;
  r.info.sacked = 3;
  r.info.reordering = 5;
  r.info.rcv_rtt = 1500;
  r.info.notsent_bytes = 77;
  r.info.rcv_ooopack = 6;
  r.info.rcv_wnd = 4096;
  r.info.max_pacing_rate = 1000000;
  const std::string text = format_tcp_info(r, false, true);
  EXPECT_NE(text.find(" rto:204 backoff:2 rtt:0.018/0.009"), std::string::npos) << text;
  EXPECT_NE(text.find(" cwnd:10 ssthresh:7 bytes_received:1"), std::string::npos) << text;
  EXPECT_NE(text.find(" pacing_rate 416.2Gbps/8.0Mbps delivered:1"), std::string::npos) << text;
  EXPECT_NE(text.find(" busy:2000ms rwnd_limited:500ms(25.0%) sndbuf_limited:1ms(0.1%) unacked:4 retrans:1/12 lost:2"
                      " sacked:3 reordering:5 rcv_rtt:1.5 rcv_space"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find(" notsent:77 minrtt:0.018 rcv_ooopack:6 snd_wnd:65536 rcv_wnd:4096"), std::string::npos) << text;
}

std::string informed_by(const char* congestion, std::array<uint32_t, 5> info) {
  SocketRow r = informed();
  r.congestion = congestion;
  r.cc_info = info;
  r.cc_info_bytes = 16;
  const std::string text = format_tcp_info(r, false, true);
  const size_t from = text.find(" data_segs_in:1") + 15;
  return text.substr(from, text.find(" lastsnd") - from);
}

TEST(Ss, CongestionControlsTellOfThemselvesBetweenSizesAndRates) {
  EXPECT_EQ(informed_by("bbr", {1'250'000, 1, 25'300, 739, 512}),
            " bbr:(bw:34.4Gbps,mrtt:25.3,pacing_gain:2.88672,cwnd_gain:2) send 145.6Gbps");
  EXPECT_EQ(informed_by("bbr", {1000, 0, 100, 0, 0}), " bbr:(bw:8.0Kbps,mrtt:0.1) send 145.6Gbps");
  EXPECT_EQ(informed_by("dctcp", {1 | 1 << 16, 512, 1448, 28960}),
            " dctcp:(ce_state:1,alpha:512,ab_ecn:1448,ab_tot:28960) send 145.6Gbps");
  EXPECT_EQ(informed_by("dctcp-reno", {}), " dctcp:fallback_mode send 145.6Gbps");
  EXPECT_EQ(informed_by("cubic", {}), " send 145.6Gbps");
}

TEST(Ss, VegasAndWestwoodMeasureTheRttOfTheSendingRate) {
  EXPECT_EQ(informed_by("vegas", {1, 5, 36, 18}), " send 72.8Gbps");
  EXPECT_EQ(informed_by("westwood", {1, 0, 36, 18}), " send 72.8Gbps");
  EXPECT_EQ(informed_by("vegas", {0, 5, 36, 18}), " send 145.6Gbps");
  EXPECT_EQ(informed_by("vegas", {1, 5, 0x7fffffff, 18}), " send 145.6Gbps");
}

TEST(Ss, SummaryCountsAsSsDoes) {
  SocketTotals t;
  t.used = 10;
  t.tcp_inuse4 = 4;
  t.tcp_inuse6 = 3;
  t.allocated = 9;
  t.time_waits = 2;
  t.established = 5;
  t.udp_inuse4 = 1;
  t.udp_inuse6 = 1;
  t.frag4 = 2;
  t.frag6 = 1;
  EXPECT_EQ(format_summary(t),
            "Total: 10\n"
            "TCP:   11 (estab 5, closed 4, orphaned 0, timewait 2)\n"
            "\n"
            "Transport Total     IP        IPv6\n"
            "RAW\t  0         0         0\n"
            "UDP\t  2         1         1\n"
            "TCP\t  7         4         3\n"
            "INET\t  9         5         4\n"
            "FRAG\t  3         2         1\n"
            "\n");
}

TEST(Ss, WrongOptionsAreNamed) {
  auto error_of = [](std::vector<std::string> words) {
    SsOptions o;
    std::string error;
    EXPECT_FALSE(parse_ss_options(words, o, error));
    return error;
  };
  EXPECT_EQ(error_of({"-tX"}), "ss: there is no option -X (leat ss --help)");
  EXPECT_EQ(error_of({"--nope"}), "ss: there is no option --nope (leat ss --help)");
  EXPECT_EQ(error_of({"-tanp"}), "ss: -p is not here: every socket belongs to the process of this leat");
  EXPECT_EQ(error_of({"state", "odd"}), "ss: 'odd' is not a state");
  EXPECT_EQ(error_of({"state"}), "ss: the name of a state is missing behind 'state'");
  EXPECT_EQ(error_of({"sport"}), "ss: a port is missing");
}

}  // namespace
}  // namespace leat::diag
