// Random packet operations against plain byte vectors: whatever is cut, shared, chained or copied, the bytes agree,
// and nothing is left in the pool at the end.
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "pkt/packet.h"

namespace leat {
namespace {

class Machine {
 public:
  explicit Machine(uint32_t seed) : engine_(seed) {}

  void run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) {
      if (pairs_.empty() || (pairs_.size() < 12 && random(4) == 0)) {
        make();
      } else {
        change(random(static_cast<uint32_t>(pairs_.size())));
      }
      for (const Pair& pair : pairs_)
        check(pair);
    }
    pairs_.clear();
    EXPECT_EQ(pool_.packets_in_use(), 0u);
    pool_.trim();
  }

 private:
  using Bytes = std::vector<uint8_t>;
  struct Pair {
    PacketPtr packet;
    Bytes model;
  };

  uint32_t random(uint32_t bound) { return bound == 0 ? 0 : static_cast<uint32_t>(engine_() % bound); }
  Bytes some_bytes(uint32_t n) {
    Bytes out(n);
    for (uint8_t& b : out)
      b = static_cast<uint8_t>(engine_());
    return out;
  }
  uint32_t size_of(const Pair& pair) { return static_cast<uint32_t>(pair.model.size()); }

  void make() {
    const Bytes bytes = some_bytes(random(8) == 0 ? random(5000) : random(300));
    pairs_.push_back({pool_.make_copy(bytes, random(2) == 0 ? kHeadroom : random(40)), bytes});
  }

  void change(size_t i) {
    Pair& pair = pairs_[i];
    switch (random(9)) {
      case 0:
        add_fragments(pair);
        break;
      case 1:
        pull(pair);
        break;
      case 2:
        trim(pair);
        break;
      case 3:
        EXPECT_TRUE(pair.packet->pull_linear(random(size_of(pair) + 1)));
        break;
      case 4:
        clone(i);
        break;
      case 5:
        split(i);
        break;
      case 6:
        push_or_put(pair);
        break;
      case 7:
        append(i);
        break;
      default:
        drop(i);
        break;
    }
  }

  void add_fragments(Pair& pair) {
    const Bytes bytes = some_bytes(1 + random(400));
    Buffer* b = pool_.make_buffer(static_cast<uint32_t>(bytes.size()));
    std::memcpy(b->bytes(), bytes.data(), bytes.size());
    for (uint32_t n = 1 + random(5), at = 0; n != 0; --n) {
      if (random(3) == 0) at = random(static_cast<uint32_t>(bytes.size()));
      const uint32_t take = random(static_cast<uint32_t>(bytes.size()) - at + 1);
      if (!pair.packet->can_add_fragment(b, at)) break;
      pair.packet->add_fragment(b, at, take);
      pair.model.insert(pair.model.end(), bytes.begin() + at, bytes.begin() + at + take);
      at += take;
    }
    PacketPool::unref(b);
  }
  void pull(Pair& pair) {
    const uint32_t n = random(size_of(pair) + 1);
    pair.packet->pull(n);
    pair.model.erase(pair.model.begin(), pair.model.begin() + n);
  }
  void trim(Pair& pair) {
    const uint32_t n = random(size_of(pair) + 1);
    pair.packet->trim(n);
    pair.model.resize(n);
  }
  void clone(size_t i) {
    const Pair& pair = pairs_[i];
    const uint32_t linear = random(std::min(size_of(pair), 80u) + 1);
    PacketPtr copy = pool_.clone(*pair.packet, linear, random(100));
    Bytes model = pair.model;
    const Bytes header = some_bytes(linear);  // its own, to be overwritten
    std::copy(header.begin(), header.end(), copy->data);
    std::copy(header.begin(), header.end(), model.begin());
    pairs_.push_back({std::move(copy), std::move(model)});
  }
  void split(size_t i) {
    Pair& pair = pairs_[i];
    const uint32_t at = random(size_of(pair) + 1);
    PacketPtr rest = pool_.split(*pair.packet, at);
    Bytes model(pair.model.begin() + at, pair.model.end());
    pair.model.resize(at);
    pairs_.push_back({std::move(rest), std::move(model)});
  }
  void push_or_put(Pair& pair) {
    Packet& p = *pair.packet;
    if (random(2) == 0 && p.frag_count == 0 && p.more == nullptr) {
      const Bytes bytes = some_bytes(random(std::min(p.tailroom(), 200u) + 1));
      std::copy(bytes.begin(), bytes.end(), p.put(static_cast<uint32_t>(bytes.size())));
      pair.model.insert(pair.model.end(), bytes.begin(), bytes.end());
    } else if (p.buffer->refs.load() == 1) {  // a sole owner may write in front
      const Bytes bytes = some_bytes(random(std::min(p.headroom(), 60u) + 1));
      std::copy(bytes.begin(), bytes.end(), p.push(static_cast<uint32_t>(bytes.size())));
      pair.model.insert(pair.model.begin(), bytes.begin(), bytes.end());
    }
  }
  void append(size_t i) {
    const size_t j = random(static_cast<uint32_t>(pairs_.size()));
    if (i == j) return;
    pairs_[i].packet->append(std::move(pairs_[j].packet));
    pairs_[i].model.insert(pairs_[i].model.end(), pairs_[j].model.begin(), pairs_[j].model.end());
    pairs_.erase(pairs_.begin() + static_cast<ptrdiff_t>(j));
  }
  void drop(size_t i) { pairs_.erase(pairs_.begin() + static_cast<ptrdiff_t>(i)); }

  void check(const Pair& pair) {
    const Packet& p = *pair.packet;
    ASSERT_EQ(p.length, pair.model.size());
    Bytes bytes(p.length);
    p.copy_out(0, bytes.data(), p.length);
    ASSERT_EQ(bytes, pair.model);
    uint32_t left = p.length;  // each of the chain counts itself and what follows
    for (const Packet* q = &p; q != nullptr; q = q->more) {
      ASSERT_EQ(q->length, left);
      left -= q->linear_length();
      for (uint16_t i = 0; i < q->frag_count; ++i)
        left -= q->frags[i].length;
    }
    ASSERT_EQ(left, 0u);
  }

  PacketPool pool_;
  std::mt19937 engine_;
  std::vector<Pair> pairs_;
};

TEST(PacketRandom, AgreesWithByteVectors) {
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    Machine(seed).run(600);
    if (HasFailure()) return;
  }
}

TEST(PacketRandom, RunningOutOfMemoryLeavesPacketsAsTheyWere) {
  PacketPool pool;
  std::vector<uint8_t> bytes(3000, 5);
  PacketPtr p = pool.make_copy(bytes);
  std::vector<PacketPtr> hold;
  pool.limit_packets(4);
  while (PacketPtr q = pool.make(0))
    hold.push_back(std::move(q));
  EXPECT_EQ(pool.clone(*p, 10), nullptr);
  EXPECT_EQ(pool.split(*p, 1000), nullptr);
  EXPECT_EQ(pool.make_copy(bytes), nullptr);
  EXPECT_EQ(p->length, 3000u);
  EXPECT_EQ(p->buffer->refs.load(), 1u);
}

}  // namespace
}  // namespace leat
