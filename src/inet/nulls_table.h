// The hash table behind EstablishedTable: read without a lock, resized in use. Buckets: ehash_bucket.h; their arrays:
// ehash_arrays.h. A hit touches the bucket's line and the object's, unless another object has the same tag, or the
// object is in the chain.
//
// Reading: in every array from `current` on, look at the slots with the right tag, then walk the chain if there is one.
// What has the right hash is compared after its reference is taken: before that it may change at any moment. A reader
// on an object of the chain that is freed, and perhaps becomes another one elsewhere, arrives at the end of another
// chain, at kInSlot, or at 0, and starts again with this bucket.
//
// Why nothing is missed of what is there throughout: let it be in this bucket of this array when the reader comes to
// it.
// - It stays in its slot: then he sees it there.
// - It stays in the chain: objects are inserted at the head of a chain only, so a reader whose object is reused in the
//   same chain has that whole chain before it again; whoever is carried off arrives at a wrong end.
// - It goes on in another place of the bucket: the connection is replaced (request → connection → time-wait, in two
//   objects in turn), or the first of the chain gets a slot. It is in the new place first, then the head counts the
//   change, then it goes from the old place. Who finds nothing looks again if the count is not what it was before he
//   began: a reader who saw that it is gone from the old place sees the new count; one who began with the new count
//   sees the new place. The old object of one that was replaced cannot be taken any more: it has no hash, or no
//   reference, and what is stored before that is seen by who sees that.
// - It moves to the next array, by itself or replaced there meanwhile: it is there first, then it goes from here, the
//   last of the chain before the others. Who sees that it is gone from here, or that the bucket is kMoved, sees it in
//   the next array, which he looks at after this one. There the same holds again, and nothing ever moves back.
//   That the array is larger or smaller makes no difference: buckets that are joined are read one by one before.
//
// Nobody waits for anybody, but for one case: while a table shrinks, a reader of a chain of which a writer moves the
// last object into another chain starts again until it is cut off here, one store later.
#pragma once

#include <cstdint>
#include <vector>

#include "base/check.h"
#include "inet/ehash_arrays.h"
#include "inet/ehash_bucket.h"
#include "inet/sock.h"
#include "inet/tables.h"
#include "inet/tuple_hash.h"

namespace leat::inet {

// What a test may do between two steps of a reader, and which of its checks it may leave out, to show that they
// are needed. In the product there is none of it.
struct NoReaderHooks {
  static constexpr bool kCheckEnd = true;         // what is at the chain's end is what is expected
  static constexpr bool kCompareAgain = true;     // the tuple is compared once the reference is held
  static constexpr bool kCheckReplaced = true;    // nothing changed its place while nothing was found
  static void on_object(const SockCommon*) {}     // a reader stands on this object and is about to look at it
  static void on_candidate(const SockCommon*) {}  // its hash is right; no reference is held yet
};

template <class Hooks>
class NullsTable {
  using Bucket = EhashBucket;
  using Array = EhashArray;

 public:
  using MayReplace = EstablishedTable::MayReplace;
  using Release = EstablishedTable::Release;

  NullsTable(Rng& rng, uint32_t entries) : hash_(make_sip_key(rng)), arrays_(entries) {}

  void set_release(Release release, void* context) {
    release_ = release;
    release_context_ = context;
  }
  uint32_t hash_of(const FourTuple& t) const {
    const auto h = static_cast<uint32_t>(hash_(t));
    return h == 0 ? 1 : h;  // 0 says "not hashed"
  }
  size_t count() const { return arrays_.count(); }
  uint32_t buckets() const { return arrays_.buckets(); }
  size_t bytes() const { return arrays_.bytes(); }
  void grow_if_needed() { arrays_.grow_if_needed(); }

  // Nearly always the first with its tag is it, or there is none. Who is in a slot stays in one: with no such tag, no
  // chain and no next array nothing can have been missed.
  SockCommon* lookup(uint32_t hash, const FourTuple& t, uint16_t ifindex) const {
    const Array* a = arrays_.current();
    const Bucket& b = a->bucket(a->index_of(hash));
    const uintptr_t head = b.head.load(std::memory_order_acquire);
    const uint32_t matching = b.matching(Bucket::tag(hash));
    if (matching != 0) [[likely]] {
      SockCommon* s = b.first_of(matching);
      if (s != nullptr && take(s, {hash, t, ifindex})) return s;
    } else if (Bucket::object(head) == nullptr && a->following() == nullptr) {
      return nullptr;
    }
    return look_on(a, head, matching & (matching - 1), {hash, t, ifindex});
  }

  // While the table is resized there are two arrays, and what has moved from one is in the other.
  void prefetch_bucket(uint32_t hash) const {
    for (Array* a = arrays_.current(); a != nullptr; a = a->following())
      __builtin_prefetch(&a->bucket(a->index_of(hash)));
  }
  void prefetch_object(uint32_t hash) const {
    for (Array* a = arrays_.current(); a != nullptr; a = a->following()) {
      const Bucket& b = a->bucket(a->index_of(hash));
      const uintptr_t head = b.head.load(std::memory_order_acquire);
      if (head == Bucket::kMoved) continue;
      const uint32_t matching = b.matching(Bucket::tag(hash));
      SockCommon* s = matching == 0 ? Bucket::object(head) : b.first_of(matching);
      if (s != nullptr) __builtin_prefetch(s, 1);  // for writing: who is found is referenced
      return;
    }
  }

  void insert(SockCommon* s) {
    LockedEhashBucket b = lock_for(s, hash_of(s->tuple()));
    b.add(s);
    arrays_.count_insertion();
  }

  bool insert_unique(SockCommon* s, MayReplace may_replace, void* context, SockCommon** replaced, uint32_t hash = 0) {
    const FourTuple t = s->tuple();
    LockedEhashBucket b = lock_for(s, hash != 0 ? hash : hash_of(t));
    SockCommon* there = b.find(s->hash, t, s->bound_ifindex);
    if (there == nullptr) {
      b.add(s);
      arrays_.count_insertion();
      return true;
    }
    if (may_replace == nullptr || !may_replace(context, there)) {
      s->hash = 0;
      return false;
    }
    b.replace(there, s);
    *replaced = there;
    return true;
  }

  // Of the same tuple, whose hash the old one has, unless it was taken out.
  bool replace(SockCommon* old, SockCommon* fresh) {
    const uint32_t known = old->hash;
    LockedEhashBucket b = lock_for(fresh, known != 0 ? known : hash_of(fresh->tuple()));
    if (!EstablishedTable::is_hashed(old)) {
      fresh->hash = 0;
      return false;
    }
    LEAT_CHECK(old->hash == fresh->hash && old->matches(fresh->tuple(), old->bound_ifindex));
    b.replace(old, fresh);
    return true;
  }

  bool remove(SockCommon* s) {
    const uint32_t hash = s->hash;
    if (hash == 0) return false;
    LockedEhashBucket b = arrays_.lock(hash);
    if (!EstablishedTable::is_hashed(s) || s->hash != hash) return false;
    b.remove(s);
    arrays_.count_removal();
    return true;
  }

  void for_each(void (*f)(void*, SockCommon&), void* context) const {
    Array* a = arrays_.current();
    std::vector<SockCommon*> held;
    for (uint32_t bucket = 0; bucket <= a->mask; ++bucket)
      visit_bucket(a, bucket, f, context, held);
  }

  // The cursor counts with its bits reversed: when the table doubles meanwhile, the two halves of a bucket that was
  // visited lie behind it, both.
  uint32_t for_each_some(uint32_t cursor, uint32_t buckets, void (*f)(void*, SockCommon&), void* context) const {
    std::vector<SockCommon*> held;
    while (buckets-- != 0) {
      Array* a = arrays_.current();
      visit_bucket(a, a->index_of(cursor), f, context, held);
      cursor = reversed(reversed(cursor | ~a->mask) + 1);
      if (cursor == 0) break;
    }
    return cursor;
  }

 private:
  struct Wanted {
    uint32_t hash;
    const FourTuple& tuple;
    uint16_t ifindex;
  };

  // With `matching` slots of the bucket in `a`, whose head was `head` before.
  [[gnu::noinline]] SockCommon* look_on(const Array* a, uintptr_t head, uint32_t matching, const Wanted& wanted) const {
    for (;;) {
      const uint32_t index = a->index_of(wanted.hash);
      const Bucket& b = a->bucket(index);
      for (; matching != 0; matching &= matching - 1) {
        SockCommon* s = b.first_of(matching);
        if (s != nullptr && take(s, wanted)) return s;
      }
      bool strayed = false;
      if (SockCommon* s = walk(*a, index, Bucket::object(head), wanted, strayed); s != nullptr) return s;
      const uintptr_t now = b.head.load(std::memory_order_acquire);
      const bool changed = Hooks::kCheckReplaced && Bucket::changes(now) != Bucket::changes(head);
      if (now == Bucket::kMoved || (!strayed && !changed)) {
        a = a->following();
        if (a == nullptr) return nullptr;
      }
      const Bucket& next = a->bucket(a->index_of(wanted.hash));
      head = next.head.load(std::memory_order_acquire);
      matching = next.matching(Bucket::tag(wanted.hash));
    }
  }

  SockCommon* walk(const Array& a, uint32_t index, SockCommon* s, const Wanted& wanted, bool& strayed) const {
    while (s != nullptr) {
      if (take(s, wanted)) return s;
      const uintptr_t at = s->chain.load(std::memory_order_acquire);
      if (at == 0 || Bucket::is_end(at)) {
        strayed = at == 0 || (Hooks::kCheckEnd && !a.is_end_of(index, at));  // 0: taken out under us
        return nullptr;
      }
      s = Bucket::object(at);
    }
    return nullptr;
  }

  // Inlined by force: the call costs as much as what it does (9 ns of 35 for a hit in the cache).
  // The acquire of `hash` pairs with its release in lock_for(): an object that shows this hash shows its tuple too.
  [[gnu::always_inline]] bool take(SockCommon* s, const Wanted& wanted) const {
    Hooks::on_object(s);
    if (s->hash.load(std::memory_order_acquire) != wanted.hash) return false;
    if (!Hooks::kCompareAgain && !s->matches(wanted.tuple, wanted.ifindex)) return false;
    Hooks::on_candidate(s);
    if (!s->try_get()) return false;
    if (!Hooks::kCompareAgain) return true;
    if (s->hash.load(std::memory_order_acquire) == wanted.hash && s->matches(wanted.tuple, wanted.ifindex)) return true;
    drop(s);
    return false;
  }

  void drop(SockCommon* s) const {
    if (!s->put()) return;
    LEAT_CHECK(release_ != nullptr);  // set_release() was forgotten: the owner let go while we held a reference
    release_(release_context_, s);
  }

  void visit_bucket(Array* a, uint32_t bucket, void (*f)(void*, SockCommon&), void* context,
                    std::vector<SockCommon*>& held) const {
    collect(a, bucket, bucket, a->mask, held);
    for (SockCommon* s : held) {
      f(context, *s);
      drop(s);
    }
    held.clear();
  }

  static uint32_t reversed(uint32_t v) {
    v = (v >> 1 & 0x55555555u) | (v & 0x55555555u) << 1;
    v = (v >> 2 & 0x33333333u) | (v & 0x33333333u) << 2;
    v = (v >> 4 & 0x0f0f0f0fu) | (v & 0x0f0f0f0fu) << 4;
    return __builtin_bswap32(v);
  }

  // Takes a reference on each object of `bucket` whose hash belongs to `wanted` under `wanted_mask`.
  void collect(Array* a, uint32_t bucket, uint32_t wanted, uint32_t wanted_mask, std::vector<SockCommon*>& out) const {
    const uintptr_t head = LockedEhashBucket::lock_head(a->bucket(bucket));
    if (head == Bucket::kMoved) {
      Array* next = a->following();
      collect(next, next->index_of(bucket), wanted, wanted_mask, out);
      if (next->mask > a->mask) collect(next, bucket + a->size(), wanted, wanted_mask, out);
      return;
    }
    LockedEhashBucket locked(a->bucket(bucket), a->end_of(bucket), head);
    locked.for_each([&](SockCommon* s) {
      if ((s->hash & wanted_mask) == wanted && s->try_get()) out.push_back(s);
    });
  }

  LockedEhashBucket lock_for(SockCommon* s, uint32_t hash) {
    LEAT_CHECK(!EstablishedTable::is_hashed(s));
    s->hash.store(hash, std::memory_order_release);
    return arrays_.lock(hash);
  }

  const WordHash hash_;
  Release release_ = nullptr;
  void* release_context_ = nullptr;
  EhashArrays arrays_;
};

}  // namespace leat::inet
