// The small things: list, time, bytes, errno, spinlock, rng, siphash.
#include <gtest/gtest.h>
#include <sodium/crypto_shorthash.h>

#include <array>
#include <set>
#include <vector>

#include "base/bytes.h"
#include "base/errno.h"
#include "base/list.h"
#include "base/rng.h"
#include "base/siphash.h"
#include "base/spinlock.h"
#include "base/time.h"

namespace leat {
namespace {

struct Item {
  int id = 0;
  ListNode node;
};
using ItemList = List<Item, &Item::node>;

std::vector<int> ids(ItemList& list) {
  std::vector<int> out;
  for (Item& i : list)
    out.push_back(i.id);
  return out;
}

TEST(List, PushesPopsAndInsertsInOrder) {
  Item a{1, {}}, b{2, {}}, c{3, {}}, d{4, {}};
  ItemList list;
  EXPECT_TRUE(list.is_empty());
  EXPECT_EQ(list.front(), nullptr);
  EXPECT_EQ(list.pop_front(), nullptr);
  list.push_back(&b);
  list.push_front(&a);
  list.insert_after(&b, &d);
  list.insert_before(&d, &c);
  EXPECT_EQ(ids(list), (std::vector<int>{1, 2, 3, 4}));
  EXPECT_EQ(list.next(&d), nullptr);
  EXPECT_EQ(list.prev(&a), nullptr);
  EXPECT_EQ(list.prev(&c), &b);
  EXPECT_EQ(list.pop_front(), &a);
  EXPECT_FALSE(a.node.is_linked());
  ItemList::erase(&c);
  EXPECT_EQ(ids(list), (std::vector<int>{2, 4}));
  EXPECT_EQ(list.back(), &d);
}

TEST(Time, NeverStaysNeverAndJiffiesWrap) {
  EXPECT_EQ(Time::never() + Duration::from_s(5), Time::never());
  EXPECT_EQ(Time::from_ns(4294967296'000'000).jiffies(), 0u);
  EXPECT_EQ((Time::from_us(1'500) - Time::from_ns(500)).ns(), 1'499'500);
  EXPECT_EQ((Duration::from_ms(3) << 2).us(), 12'000);
}

TEST(Bytes, AreBigEndianAtAnyAlignment) {
  uint8_t b[9] = {};
  store_be64(b + 1, 0x0102030405060708);
  EXPECT_EQ(b[1], 1);
  EXPECT_EQ(load_be16(b + 1), 0x0102);
  EXPECT_EQ(load_be32(b + 3), 0x03040506u);
  EXPECT_EQ(load_be64(b + 1), 0x0102030405060708u);
}

TEST(Errno, TravelsInAResult) {
  const Result<int> r = err(EAGAIN);
  ASSERT_FALSE(r.has_value());
  EXPECT_EQ(to_int(r.error()), EAGAIN);
}

TEST(SpinLock, IsTakenOnce) {
  SpinLock lock;
  {
    Guard guard(lock);
    EXPECT_FALSE(lock.try_lock());
  }
  EXPECT_TRUE(lock.try_lock());
  lock.unlock();
}

Seed seed_of(uint8_t b) {
  Seed s{};
  s[0] = b;
  return s;
}

TEST(Rng, TheStreamIsChaCha20UnderTheSeed) {
  // RFC 8439's cipher in its original form: key zero, nonce zero, first keystream bytes 76 b8 e0 ad a0 f1 3d 90.
  Rng rng(Seed{});
  EXPECT_EQ(rng.next64(), 0x76b8e0ada0f13d90u);
  EXPECT_EQ(rng.next32(), 0x405d6ae5u);
}

TEST(Rng, TheSameSeedGivesTheSameStreamInPiecesOfAnySize) {
  Rng a(seed_of(1)), b(seed_of(1)), c(seed_of(2));
  std::array<uint8_t, 2000> whole{}, pieces{}, other{};
  a.fill(whole.data(), whole.size());
  for (size_t at = 0, n = 1; at < pieces.size(); at += n, n = n % 37 + 1) {
    n = std::min(n, pieces.size() - at);
    b.fill(pieces.data() + at, n);
  }
  c.fill(other.data(), other.size());
  EXPECT_EQ(whole, pieces);
  EXPECT_NE(whole, other);
}

TEST(Rng, BelowCoversItsRangeEvenly) {
  Rng rng(seed_of(3));
  EXPECT_EQ(rng.below(0), 0u);
  EXPECT_EQ(rng.below(1), 0u);
  int seen[7] = {};
  for (int i = 0; i < 70'000; ++i)
    ++seen[rng.below(7)];
  for (int n : seen)
    EXPECT_NEAR(n, 10'000, 500);
  for (int i = 0; i < 100; ++i)
    EXPECT_LT(rng.below(3'000'000'000u), 3'000'000'000u);
}

TEST(Rng, AForkIsAnotherStreamAndRepeats) {
  Rng a(seed_of(4)), b(seed_of(4));
  Rng child_a(a.fork()), child_b(b.fork());
  EXPECT_EQ(child_a.next64(), child_b.next64());
  EXPECT_NE(child_a.next64(), a.next64());
}

TEST(SipHash, GivesThePublishedVector) {
  // The paper's appendix A: key 00..0f, message 00..0e, result a129ca6149be45e5 (its bytes are e5 45 be 49 61 ca 29
  // a1).
  SipKey key;
  for (uint8_t i = 0; i < 16; ++i)
    key[i] = i;
  uint8_t message[15];
  for (uint8_t i = 0; i < 15; ++i)
    message[i] = i;
  EXPECT_EQ(siphash(key, message), 0xe545be4961ca29a1u);
}

TEST(SipHash, GivesWhatLibsodiumGives) {
  Rng rng(seed_of(6));
  const SipKey key = make_sip_key(rng);
  uint8_t message[64];
  rng.fill(message, sizeof message);
  for (size_t n = 0; n <= sizeof message; ++n) {
    uint8_t out[8];
    crypto_shorthash(out, message, n, key.data());
    EXPECT_EQ(siphash(key, ByteView(message, n)), load_be64(out)) << n;
  }
}

TEST(SipHash, DependsOnTheKey) {
  Rng rng(seed_of(5));
  const SipKey a = make_sip_key(rng), b = make_sip_key(rng);
  EXPECT_NE(siphash_of(a, 1234u), siphash_of(b, 1234u));
  EXPECT_EQ(siphash_of(a, 1234u), siphash_of(a, 1234u));
}

}  // namespace
}  // namespace leat
