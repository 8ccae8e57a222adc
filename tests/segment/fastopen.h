// Both sides of Fast Open in tests of segments.
#pragma once

#include "segment/harness.h"

namespace leat::segment {

using Bytes = std::vector<uint8_t>;

inline constexpr int kMsgFastOpen = 0x20000000;
inline constexpr int kFastOpen = 23, kFastOpenConnect = 30, kFastOpenKey = 33, kFastOpenNoCookie = 34;
inline constexpr uint8_t kSynData = 32, kChild = 128;  // of TCP_INFO's options
inline const Bytes kCookie = {0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88};

struct FastOpenServer : SegmentTest {
  FastOpenServer() {
    EXPECT_TRUE(sysctl("net.ipv4.tcp_fastopen", "2"));
    EXPECT_TRUE(sysctl("net.ipv4.tcp_fastopen_key", "a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4"));
  }

  int listen_fast(int limit = 10, int backlog = 128) {
    const int fd = listen(backlog);
    set(fd, IPPROTO_TCP, kFastOpen, limit);
    return fd;
  }

  Peer& fresh() { return new_peer(next_port_++); }

  // As a client gets it: it asks, and goes away.
  Bytes ask_for_cookie(bool experimental = false) {
    Peer& p = fresh();
    p.send(Seg("S", 0).mss(1000).fo({}, experimental));
    const Seg s = p.expect(Seg("S.", 0, 1));
    p.send(Seg("R", 1));
    EXPECT_TRUE(s.cookie && s.cookie->experimental == experimental);
    if (!s.cookie) return {};
    return {s.cookie->bytes.begin(), s.cookie->bytes.begin() + s.cookie->length};
  }

  static Seg syn(uint32_t n, const Bytes& cookie) {
    Seg s("S", 0, 0, n);
    return s.mss(1000).sack_ok().fo(cookie);
  }

  // A child in SYN_RECV with n bytes to read, accepted.
  int open_fast(Peer& p, uint32_t n, const Bytes& cookie) {
    p.send(syn(n, cookie));
    p.expect(Seg("S.", 0, 1 + n).no_fo());
    return accept();
  }

  Result<void> set_keys(int fd, const Bytes& keys) {
    return stack().setsockopt(fd, IPPROTO_TCP, kFastOpenKey, keys.data(), static_cast<socklen_t>(keys.size()));
  }
  Bytes get_keys(int fd) {
    Bytes keys(64);
    auto length = static_cast<socklen_t>(keys.size());
    EXPECT_TRUE(stack().getsockopt(fd, IPPROTO_TCP, kFastOpenKey, keys.data(), &length));
    keys.resize(length);
    return keys;
  }
  int get(int fd, int name) {
    int v = -1;
    socklen_t length = sizeof v;
    EXPECT_TRUE(stack().getsockopt(fd, IPPROTO_TCP, name, &v, &length));
    return v;
  }

  uint16_t next_port_ = 6000;
  char buffer_[100];
};

struct FastOpenClient : SegmentTest {
  Peer& fresh() { return new_peer(next_port_++); }

  int bound_socket(const Peer& p) {
    const int fd = socket();
    set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    const Endpoint from = host_endpoint(p.host_port);
    EXPECT_TRUE(stack().bind(fd, from.data(), from.length()));
    return fd;
  }

  // sendto(MSG_FASTOPEN) of the stream's first n bytes.
  Result<size_t> open(const Peer& p, int fd, size_t n, uint32_t from = 1) {
    const Endpoint to = peer_endpoint(p.port);
    const std::string text = stream(from, n);
    const auto sent = stack().sendto(fd, text.data(), n, kMsgFastOpen | MSG_DONTWAIT, to.data(), to.length());
    settle();
    return sent;
  }

  Result<void> connect(const Peer& p, int fd) {
    const Endpoint to = peer_endpoint(p.port);
    const auto done = stack().connect(fd, to.data(), to.length());
    settle();
    return done;
  }

  static Seg synack(uint32_t ack, uint16_t mss = 1000) { return Seg("S.", 0, ack).mss(mss).sack_ok(); }

  // The cookie is in the cache afterwards.
  void get_cookie(const Bytes& cookie = kCookie, uint16_t mss = 1000) {
    Peer& p = fresh();
    const int fd = bound_socket(p);
    EXPECT_EQ(open(p, fd, 100).error(), Errno{EINPROGRESS});
    p.expect(Seg("S", 0).fo());
    p.send(synack(1, mss).fo(cookie));
    p.expect(Seg(".", 1, 1));
    end(p, fd);
  }

  // Has sent the stream's first n bytes with its SYN.
  int opened(Peer& p, uint32_t n) {
    const int fd = bound_socket(p);
    EXPECT_EQ(open(p, fd, n), n);
    p.expect(Seg("S", 0, 0, n).fo(kCookie));
    return fd;
  }

  void end(Peer& p, int fd) {
    set_linger(fd, true, 0);
    close(fd);
    p.drain();
  }

  uint16_t next_port_ = 6000;
};

}  // namespace leat::segment
