// A whole Stack under attack: frames of every kind on an IP link and on an Ethernet link, time, and a user who reads,
// writes and closes, in any order. The input is a list of steps. Most of them build a segment in relation to what the
// host has said last (numbers near its own, checksums right), so that they get past the first look; others are any
// bytes, with or without their lengths and checksums put right.
//
// Promises: it dies nowhere, comes to rest at every point of time, its packets stay within what buffers allow, and
// nothing is left when it is destroyed.
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string_view>
#include <vector>

#include "fuzz.h"
#include "leat/socket.h"
#include "link/memory_link.h"
#include "pkt/packet.h"
#include "stack/stack_impl.h"
#include "wire/checksum.h"
#include "wire/ethernet.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/tcp.h"

namespace leat::fuzz {
namespace {

constexpr int kMaxSteps = 400;
constexpr size_t kMaxPackets = 30000;
constexpr uint16_t kListen = 80, kUdp = 53;

const IpAddress kHost4 = IpAddress::from_v4(0x0a000001), kFar4 = IpAddress::from_v4(0x0a000002);
const IpAddress kHost6 = IpAddress::parse("fd00::1").value(), kFar6 = IpAddress::parse("fd00::2").value();

struct Far {  // the far end of a connection
  bool is_v6 = false;
  uint16_t port = 0;
  uint16_t host_port = kListen;
  uint32_t own_next = 0xffffff00;  // what the host expects, when it has said so
  uint32_t host_next = 0;          // behind what it has sent
  uint32_t tsval = 0;              // its last timestamp
};

class Machine {
 public:
  Machine() {
    add_link("mem0", LinkKind::kIp, ip_, "10.0.0.1/24", "fd00::1/64");
    add_link("eth0", LinkKind::kEthernet, ethernet_, "10.0.1.1/24", "fd01::1/64");
    listener_ = user_socket(AF_INET6, SOCK_STREAM);
    bind(listener_, "::", kListen);
    FUZZ_REQUIRE(stack_->listen(listener_, 4));
    udp_ = user_socket(AF_INET6, SOCK_DGRAM);
    bind(udp_, "::", kUdp);
    for (size_t i = 0; i < far_.size(); ++i) {
      far_[i].is_v6 = (i & 1) != 0;
      far_[i].port = static_cast<uint16_t>(5000 + i);
    }
    open(far_[0]);
    open(far_[1]);
  }

  void run(Input& in, size_t size) {
    for (int i = 0; i < kMaxSteps && size != 0; ++i) {
      const uint8_t op = in.u8();
      step(in, op);
      settle();
      FUZZ_REQUIRE(pool_.packets_in_use() + stack_->impl().pool.packets_in_use() < kMaxPackets);
      if (in.is_empty()) break;
    }
    for (int fd = 0; fd < 64; ++fd)
      (void)stack_->close(fd);
    settle();
  }

 private:
  void step(Input& in, uint8_t op) {
    switch (op % 16) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
      case 5:
      case 6:
        return tcp(in, far_[op / 16 % far_.size()]);
      case 7:
        return udp(in, (op & 0x80) != 0);
      case 8:
        return raw_ip(in, (op & 0x80) != 0, (op & 0x40) != 0);
      case 9:
        return send(*ethernet_, in.take(in.u8() + in.u8()));
      case 10:
        return icmp(in, far_[op / 16 % far_.size()]);
      case 11:
      case 12:
        return wait(Duration::from_ms(in.u16()));
      case 13:
        return wait(Duration::from_us(in.u16()));
      default:
        return user(in, op / 16);
    }
  }

  // ---- what arrives ----

  void tcp(Input& in, Far& f) {
    wire::TcpHeader h;
    h.src_port = f.port;
    h.dst_port = f.host_port;
    h.flags = in.u8();
    const uint8_t shape = in.u8();
    h.seq = f.own_next + offset(in, shape & 3);
    h.ack = f.host_next + offset(in, shape >> 2 & 3);
    h.window = shape & 0x10 ? in.u16() : uint16_t{0xffff};
    h.urgent = h.flags & wire::kTcpUrg ? in.u16() : uint16_t{0};
    std::vector<uint8_t> segment(wire::kTcpHeaderBytes);
    wire::emit_tcp(h, segment);
    if (shape & 0x20) {
      const ByteView options = in.take(in.u8() % 41);
      segment.insert(segment.end(), options.begin(), options.end());
    } else if (shape & 0x40) {
      sack_options(in, f, segment);
    } else if (f.tsval != 0) {
      timestamp_option(in, f, segment);
    }
    segment.resize((segment.size() + 3) / 4 * 4);
    segment[12] = static_cast<uint8_t>(segment.size() / 4 << 4);
    const size_t length = shape & 0x80 ? in.u16() % 1400 : size_t{in.u8()};
    segment.resize(segment.size() + length, 'x');
    send_transport(f.is_v6, 6, segment, 16);
  }

  static uint32_t offset(Input& in, int how) {
    switch (how) {
      case 0:
        return 0;
      case 1:
        return static_cast<uint32_t>(static_cast<int8_t>(in.u8()));
      case 2:
        return static_cast<uint32_t>(static_cast<int16_t>(in.u16()));
      default:
        return in.u32();
    }
  }

  static void sack_options(Input& in, const Far& f, std::vector<uint8_t>& segment) {
    const uint8_t blocks = in.u8() % 4 + 1;
    segment.insert(segment.end(), {1, 1, 5, static_cast<uint8_t>(2 + 8 * blocks)});
    for (int i = 0; i < blocks; ++i) {
      uint8_t b[8];
      const uint32_t start = f.host_next - in.u16();
      store_be32(b, start);
      store_be32(b + 4, start + in.u16());
      segment.insert(segment.end(), b, b + 8);
    }
  }

  static void timestamp_option(Input& in, const Far& f, std::vector<uint8_t>& segment) {
    uint8_t b[12] = {1, 1, 8, 10};
    store_be32(b + 4, 1'000'000 + in.u8());
    store_be32(b + 8, f.tsval);
    segment.insert(segment.end(), b, b + 12);
  }

  void udp(Input& in, bool is_v6) {
    std::vector<uint8_t> segment(8);
    store_be16(segment.data(), 6000);
    store_be16(segment.data() + 2, in.u8() & 1 ? kUdp : in.u16());
    const ByteView text = in.take(in.u8());
    segment.insert(segment.end(), text.begin(), text.end());
    store_be16(segment.data() + 4, static_cast<uint16_t>(segment.size()));
    send_transport(is_v6, 17, segment, 6);
  }

  // An error about a segment that the host may have sent.
  void icmp(Input& in, const Far& f) {
    std::vector<uint8_t> quoted(wire::kTcpHeaderBytes);
    wire::TcpHeader h;
    h.src_port = f.host_port;
    h.dst_port = f.port;
    h.seq = f.host_next + offset(in, 2);
    wire::emit_tcp(h, quoted);
    const std::vector<uint8_t> packet = wrap(f.is_v6, 6, quoted, true);
    std::vector<uint8_t> message = {in.u8(), in.u8(), 0, 0, 0, 0, in.u8(), in.u8()};
    message.insert(message.end(), packet.begin(), packet.end());
    if (f.is_v6) return send_transport(true, 58, message, 2);
    store_be16(message.data() + 2, wire::checksum_fold(wire::checksum_add(0, message)));
    send(*ip_, wrap(false, 1, message, false));
  }

  void raw_ip(Input& in, bool is_v6, bool repair) {
    const ByteView bytes = in.take(in.u16() % 2000);
    if (!repair) return send(*ip_, bytes);
    const uint8_t protocol = in.u8();
    std::vector<uint8_t> packet = wrap(is_v6, protocol, {bytes.begin(), bytes.end()}, false);
    if (!is_v6 && (protocol & 1) != 0) {  // a fragment
      store_be16(packet.data() + 6, in.u16());
      store_be16(packet.data() + 10, 0);
      store_be16(packet.data() + 10, wire::ipv4_checksum(ByteView(packet).first(wire::kIpv4HeaderBytes)));
    }
    send(*ip_, packet);
  }

  void send_transport(bool is_v6, uint8_t protocol, std::vector<uint8_t>& segment, size_t checksum_at) {
    const uint64_t sum = wire::pseudo_header_sum(is_v6 ? kFar6 : kFar4, is_v6 ? kHost6 : kHost4, protocol,
                                                 static_cast<uint32_t>(segment.size()));
    store_be16(segment.data() + checksum_at, 0);
    const uint16_t value = wire::checksum_fold(wire::checksum_add(sum, segment));
    store_be16(segment.data() + checksum_at, protocol == 17 && value == 0 ? uint16_t{0xffff} : value);
    send(*ip_, wrap(is_v6, protocol, segment, false));
  }

  static std::vector<uint8_t> wrap(bool is_v6, uint8_t protocol, const std::vector<uint8_t>& payload, bool from_host) {
    std::vector<uint8_t> packet(is_v6 ? wire::kIpv6HeaderBytes : wire::kIpv4HeaderBytes);
    if (is_v6) {
      wire::Ipv6Header h;
      h.payload_length = static_cast<uint16_t>(payload.size());
      h.next_header = protocol;
      h.hop_limit = 64;
      h.src = from_host ? kHost6 : kFar6;
      h.dst = from_host ? kFar6 : kHost6;
      wire::emit_ipv6(h, packet);
    } else {
      wire::Ipv4Header h;
      h.total_length = static_cast<uint16_t>(packet.size() + payload.size());
      h.ttl = 64;
      h.protocol = protocol;
      h.src = from_host ? kHost4 : kFar4;
      h.dst = from_host ? kFar4 : kHost4;
      wire::emit_ipv4(h, packet);
    }
    packet.insert(packet.end(), payload.begin(), payload.end());
    return packet;
  }

  void send(Link& link, ByteView bytes) {
    PacketPtr p = pool_.make_copy(bytes);
    FUZZ_REQUIRE(p != nullptr);
    Packet* one = p.release();
    link.transmit_batch({&one, 1}, now_);
    settle();
  }

  // ---- what leaves ----

  void settle() {
    for (int i = 0; i < 2000; ++i) {
      const bool more = stack_->poll(now_);
      listen_to(*ip_);
      listen_to(*ethernet_);
      if (!more && stack_->next_deadline() > now_) return;
    }
    constexpr bool comes_to_rest = false;
    FUZZ_REQUIRE(comes_to_rest);
  }

  void wait(Duration d) {
    const Time end = now_ + d;
    for (int i = 0; i < 100000; ++i) {
      const Time next = stack_->next_deadline();
      if (next > end) break;
      now_ = std::max(now_, next);
      settle();
    }
    now_ = end;
  }

  void listen_to(Link& link) {
    Packet* batch[32];
    while (const size_t n = link.receive_batch(batch, pool_, now_)) {
      for (size_t i = 0; i < n; ++i) {
        const PacketPtr p(batch[i]);
        std::vector<uint8_t> bytes(p->length);
        p->copy_out(0, bytes.data(), p->length);
        if (&link == ip_.get()) hear(bytes);
      }
    }
  }

  void hear(ByteView packet) {
    const bool is_v6 = packet[0] >> 4 == 6;
    const size_t network = is_v6 ? wire::kIpv6HeaderBytes : wire::kIpv4HeaderBytes;
    if (packet.size() < network || packet[is_v6 ? 6 : 9] != 6) return;
    const auto h = wire::parse_tcp(packet.subspan(network));
    if (!h) return;
    for (Far& f : far_) {
      if (f.is_v6 != is_v6 || f.port != h->dst_port || f.host_port != h->src_port) continue;
      const auto length = static_cast<uint32_t>(packet.size() - network - h->header_length);
      f.host_next = h->seq + length + (h->syn() ? 1u : 0u) + (h->fin() ? 1u : 0u);
      if (h->has_ack()) f.own_next = h->ack;
      if (h->options.has_timestamp) f.tsval = h->options.tsval;
    }
  }

  // ---- the user ----

  void user(Input& in, int what) {
    const int fd = in.u8() % 16;
    std::array<uint8_t, 3000> buffer{};
    const size_t n = in.u16() % buffer.size();
    switch (what) {
      case 0:
        (void)stack_->accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK);
        return;
      case 1:
        (void)stack_->recv(fd, buffer.data(), n, n & 1 ? MSG_PEEK : 0);
        return;
      case 2:
        (void)stack_->recv(fd, buffer.data(), n, n & 1 ? MSG_OOB : 0);
        return;
      case 3:
      case 4:
      case 5:
        (void)stack_->send(fd, buffer.data(), n, n & 1 ? MSG_MORE : 0);
        return;
      case 6:
        (void)stack_->send(fd, buffer.data(), n, MSG_OOB);
        return;
      case 7:
        (void)stack_->shutdown(fd, static_cast<int>(n % 3));
        return;
      case 8:
        if (fd != listener_ && fd != udp_) (void)stack_->close(fd);
        return;
      case 9:
      case 10:
        return option(fd, in.u8(), in.u8());
      case 11:
        return connect(far_[static_cast<size_t>(fd) % far_.size()]);
      case 12:
        disconnect(fd);
        return;
      default:
        (void)stack_->recv(fd, buffer.data(), buffer.size(), 0);
        return;
    }
  }

  void option(int fd, uint8_t which, uint8_t value) {
    static constexpr int kTcp[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 18, 23, 24, 25, 36, 44, 45};
    static constexpr int kSocket[] = {2, 7, 8, 9, 10, 13, 18};
    const int v = value;
    if (which & 0x80) {
      (void)stack_->setsockopt(fd, SOL_SOCKET, kSocket[which % std::size(kSocket)], &v, sizeof v);
    } else {
      (void)stack_->setsockopt(fd, IPPROTO_TCP, kTcp[which % std::size(kTcp)], &v, sizeof v);
    }
  }

  void connect(Far& f) {
    const int fd = user_socket(f.is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM);
    if (fd < 0) return;
    f.host_port = static_cast<uint16_t>(9000 + f.port % 100);
    bind(fd, f.is_v6 ? "fd00::1" : "10.0.0.1", f.host_port);
    const Endpoint to = Endpoint::parse(f.is_v6 ? "fd00::2" : "10.0.0.2", f.port).value();
    (void)stack_->connect(fd, to.data(), to.length());
  }

  void disconnect(int fd) {
    const sockaddr nobody{AF_UNSPEC, {}};
    (void)stack_->connect(fd, &nobody, sizeof nobody);
  }

  int user_socket(int domain, int type) { return stack_->socket(domain, type | SOCK_NONBLOCK, 0).value_or(-1); }

  void bind(int fd, std::string_view host, uint16_t port) {
    const Endpoint at = Endpoint::parse(host, port).value();
    (void)stack_->bind(fd, at.data(), at.length());
  }

  // A handshake with the options of today, so that the input need not find them.
  void open(Far& f) {
    wire::TcpHeader h;
    h.src_port = f.port;
    h.dst_port = kListen;
    h.seq = f.own_next;
    h.flags = wire::kTcpSyn;
    h.window = 0xffff;
    h.options.mss = 1000;
    h.options.sack_permitted = true;
    h.options.has_wscale = true;
    h.options.wscale = 7;
    h.options.has_timestamp = f.is_v6;
    h.options.tsval = 1'000'000;
    send_header(f, h);
    h.seq = f.own_next;
    h.ack = f.host_next;
    h.flags = wire::kTcpAck;
    h.options = {};
    h.options.has_timestamp = f.is_v6;
    h.options.tsval = 1'000'000;
    h.options.tsecr = f.tsval;
    send_header(f, h);
    FUZZ_REQUIRE(stack_->accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK));
  }

  void send_header(const Far& f, const wire::TcpHeader& h) {
    std::vector<uint8_t> segment(wire::tcp_header_length(h));
    wire::emit_tcp(h, segment);
    send_transport(f.is_v6, 6, segment, 16);
  }

  void add_link(const char* name, LinkKind kind, std::unique_ptr<Link>& ours, const char* v4, const char* v6) {
    MemoryPairOptions options;
    options.kind = kind;
    options.verifies_checksums = false;
    options.takes_partial_checksums = false;
    options.max_gso_bytes = 0;
    auto [theirs, far] = make_memory_pair(options);
    ours = std::move(far);
    const int ifindex = stack_->add_link(name, std::move(theirs)).value();
    (void)stack_->add_address(ifindex, v4);
    (void)stack_->add_address(ifindex, v6);
  }

  static StackConfig config() {
    StackConfig c;
    c.seed.fill(3);
    c.ehash_entries = 16;
    c.max_files = 16;
    return c;
  }

  PacketPool pool_;  // outlives the Stack, which may hold some of its packets
  Time now_ = Time::from_ns(1'000'000'000);
  std::unique_ptr<Stack> stack_ = Stack::create(config()).value();
  std::unique_ptr<Link> ip_, ethernet_;
  std::array<Far, 6> far_;
  int listener_ = -1, udp_ = -1;
};

}  // namespace
}  // namespace leat::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  leat::fuzz::Input in(data, size);
  leat::fuzz::Machine machine;
  machine.run(in, size);
  return 0;
}
