// With many connections a burst's owners are fetched by a hash that is made before anybody has read the headers. It may
// be wrong about nobody: neither about fragments, whose first bytes are not ports, nor about what shares a burst.
#include <netinet/in.h>

#include <vector>

#include "link/link.h"
#include "pkt/packet.h"
#include "two_stacks.h"
#include "wire/ipv4.h"

namespace leat {
namespace {

// Cuts what is longer than kPiece into IP fragments, which leave the last one first.
class FragmentingLink : public Link {
 public:
  FragmentingLink(std::unique_ptr<Link> inner, PacketPool& pool) : inner_(std::move(inner)), pool_(pool) {
    features_ = inner_->features();
    features_.takes_partial_checksums = false;
    features_.max_gso_bytes = 0;
  }
  const LinkFeatures& features() const override { return features_; }
  size_t receive_batch(std::span<Packet*> out, PacketPool& pool, Time now) override {
    return inner_->receive_batch(out, pool, now);
  }
  Time next_event() const override { return inner_->next_event(); }
  void transmit_batch(std::span<Packet*> packets, Time now) override {
    std::vector<Packet*> out;
    for (Packet* p : packets) {
      p->length - wire::kIpv4HeaderBytes > kPiece ? cut(PacketPtr(p), out) : out.push_back(p);
    }
    inner_->transmit_batch(out, now);
  }
  int cuts = 0;

 private:
  static constexpr uint32_t kPiece = 400;
  void cut(PacketPtr whole, std::vector<Packet*>& out) {
    std::vector<uint8_t> bytes(whole->length);
    whole->copy_out(0, bytes.data(), whole->length);
    wire::Ipv4Header h = wire::parse_ipv4(bytes).value();
    const ByteView payload = ByteView(bytes).subspan(wire::kIpv4HeaderBytes);
    h.dont_fragment = false;
    std::vector<Packet*> pieces;
    for (size_t at = 0; at < payload.size(); at += kPiece) {
      const ByteView piece = payload.subspan(at, std::min<size_t>(kPiece, payload.size() - at));
      h.fragment_offset = static_cast<uint16_t>(at);
      h.more_fragments = at + piece.size() < payload.size();
      h.total_length = static_cast<uint16_t>(wire::kIpv4HeaderBytes + piece.size());
      PacketPtr p = pool_.make_copy(piece);
      wire::emit_ipv4(h, {p->push(wire::kIpv4HeaderBytes), wire::kIpv4HeaderBytes});
      pieces.push_back(p.release());
    }
    out.insert(out.end(), pieces.rbegin(), pieces.rend());
    ++cuts;
  }

  std::unique_ptr<Link> inner_;
  PacketPool& pool_;
  LinkFeatures features_;
};

struct FlowHash : testing::Test {
  static constexpr int kConnections = 2200;
  Time now = Time::from_ns(1'000'000'000);
  PacketPool::Owner pool{new PacketPool};
  FragmentingLink* cutter = nullptr;
  std::unique_ptr<Stack> a, b;
  std::vector<int> here, there;

  FlowHash() {
    auto config = [](uint8_t seed) {
      StackConfig c = config_with_seed(seed);
      c.max_files = 100000;
      return c;
    };
    a = Stack::create(config(1)).value();
    b = Stack::create(config(2)).value();
    auto [left, right] = make_memory_pair();
    auto fragmenting = std::make_unique<FragmentingLink>(std::move(left), *pool);
    cutter = fragmenting.get();
    TwoStacks::join(*a, std::move(fragmenting), "10.0.0.1/24", "fd00::1/64");
    TwoStacks::join(*b, std::move(right), "10.0.0.2/24", "fd00::2/64");
  }
  void settle() {
    for (int i = 0; i < 8; ++i) {
      a->poll(now);
      b->poll(now);
    }
  }
  void open_all() {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(80);
    to.sin_addr.s_addr = htonl(0x0a000002);
    const int l = b->socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0).value();
    ASSERT_TRUE(b->bind(l, reinterpret_cast<sockaddr*>(&to), sizeof to));
    ASSERT_TRUE(b->listen(l, 4096));
    for (int i = 0; i < kConnections; ++i) {
      here.push_back(a->socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0).value());
      (void)a->connect(here.back(), reinterpret_cast<sockaddr*>(&to), sizeof to);
      if (i % 50 == 49) settle();
    }
    settle();
    for (int i = 0; i < kConnections; ++i)
      there.push_back(b->accept4(l, nullptr, nullptr, SOCK_NONBLOCK).value());
  }
};

TEST_F(FlowHash, segments_that_come_in_fragments_find_their_connection) {
  open_all();
  const std::vector<uint8_t> sent(1200, 0x5a);  // what would be read as ports is the same in every fragment
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 40; ++i)
      ASSERT_EQ(a->send(here[size_t(i)], sent.data(), sent.size(), 0).value(), ssize_t(sent.size()));
    settle();
    // The connections were accepted in the order in which they were made.
    for (int i = 0; i < 40; ++i) {
      std::vector<uint8_t> got(4096);
      const auto n = b->recv(there[size_t(i)], got.data(), got.size(), MSG_DONTWAIT);
      ASSERT_TRUE(n) << i << ": " << int(n.error());
      got.resize(size_t(*n));
      EXPECT_EQ(got, sent) << i;
    }
  }
  EXPECT_GE(cutter->cuts, 120);
  EXPECT_EQ(b->counter("IpReasmOKs"), uint64_t(cutter->cuts));
  EXPECT_EQ(b->counter("TcpOutRsts"), 0u);
}

TEST_F(FlowHash, a_burst_for_many_connections_reaches_each) {
  open_all();
  for (size_t i = 0; i < here.size(); ++i) {
    const auto n = static_cast<uint32_t>(i);
    ASSERT_TRUE(a->send(here[i], &n, sizeof n, 0));
  }
  settle();
  for (size_t i = 0; i < there.size(); ++i) {
    uint32_t n = 0;
    ASSERT_EQ(b->recv(there[i], &n, sizeof n, MSG_DONTWAIT).value_or(-1), ssize_t(sizeof n)) << i;
    EXPECT_EQ(n, i);
  }
  EXPECT_EQ(b->counter("TcpOutRsts"), 0u);
}

}  // namespace
}  // namespace leat
