// The tables of connections: ehash (connections, requests and time-waits in one), lhash2 (listeners).
//
// Looking up takes no lock and writes no shared line but the reference count of what it found. A bucket is a cache line
// with seven slots, and a chain for what finds no slot, singly linked through SockCommon::chain; it ends in a "nulls"
// value that names the bucket: a reader that was carried into another chain by an object's reuse sees a foreign end and
// starts again; a hit is compared again after its reference is taken (Linux's __inet_lookup_established). Adding and
// removing takes the bucket's lock. How: nulls_table.h.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "base/siphash.h"
#include "inet/sock.h"

namespace leat::inet {

class EstablishedTable {
 public:
  // Entries of 8 bytes, as Linux counts them, a power of two: eight make a bucket. See grow_if_needed().
  EstablishedTable(Rng& rng, uint32_t entries);
  ~EstablishedTable();

  // Looking up and for_each take references for a moment; when the owner lets go in that moment, theirs is the last,
  // and this is called to destroy the object (Linux's sock_gen_put). Set once, before the first look-up.
  using Release = void (*)(void* context, SockCommon* s);
  void set_release(Release release, void* context);

  // The connection, request or time-wait of this tuple, with a reference taken; nullptr: none.
  SockCommon* lookup(const FourTuple& t, uint16_t ifindex) const { return lookup(hash_of(t), t, ifindex); }
  SockCommon* lookup(uint32_t hash, const FourTuple& t, uint16_t ifindex) const;  // who has its hash_of already
  // The same for a burst: out[i] is lookup(tuples[i], ifindex). The cache misses of up to 32 overlap.
  void lookup_batch(std::span<const FourTuple> tuples, uint16_t ifindex, std::span<SockCommon*> out) const;
  // Only fetches what lookup() will want to see, and returns at once.
  void prefetch(std::span<const uint32_t> hashes) const;
  void prefetch_bucket(uint32_t hash) const;   // for who is about to insert or remove
  uint32_t hash_of(const FourTuple& t) const;  // keyed; never 0

  // What goes in has its refs already: who finds it with refs 0 passes it over as dying.
  void insert(SockCommon* s);  // sets s->hash from its tuple; duplicates are the caller's care; refs is not touched
  // Inserts unless an equal tuple (and device) is there. `may_replace(context, existing)` is asked, with the bucket
  // locked, whether an existing time-wait may give way (tcp_tw_reuse); if so it is unhashed, and returned in
  // *replaced with the table's reference. false: taken.
  using MayReplace = bool (*)(void* context, SockCommon* existing);
  // `hash`: hash_of(s->tuple()), if it is known, or 0.
  bool insert_unique(SockCommon* s, MayReplace may_replace, void* context, SockCommon** replaced, uint32_t hash = 0);
  // One step for readers: they find either old or fresh, never neither. false: old was not hashed (any more), fresh
  // is not inserted.
  bool replace(SockCommon* old, SockCommon* fresh);
  bool remove(SockCommon* s);  // false: was not hashed
  static bool is_hashed(const SockCommon* s) { return s->chain != 0; }

  // Makes room when there are more than four objects for a bucket, and gives it back after a burst (never below the
  // first size): called by the owner at the end of a turn, and does a bounded amount of work. Lookups and changes go on
  // meanwhile. When the last bucket has moved it waits for a grace period (rcu_synchronize) to free the old array: the
  // caller holds no lock and no pointer that it did not reference.
  void grow_if_needed();

  size_t count() const;
  uint32_t buckets() const;  // of 64 bytes
  size_t bytes() const;

  // Calls f(SockCommon&) with a reference held for each entry that is there throughout; others may be missed.
  // No lock is held during f. For ss.
  template <class F>
  void for_each(F&& f) const {
    for_each_raw([](void* c, SockCommon& s) { (*static_cast<F*>(c))(s); }, &f);
  }
  // The same for some buckets at a time: begins with cursor 0, gives the cursor to go on with, and 0 at the end. Others
  // may come and go between the calls, and the table may grow; when it shrinks, some may be met twice.
  template <class F>
  uint32_t for_each_some(uint32_t cursor, uint32_t buckets, F&& f) const {
    return for_each_some_raw(cursor, buckets, [](void* c, SockCommon& s) { (*static_cast<F*>(c))(s); }, &f);
  }

 private:
  void for_each_raw(void (*f)(void*, SockCommon&), void* context) const;
  uint32_t for_each_some_raw(uint32_t cursor, uint32_t buckets, void (*f)(void*, SockCommon&), void* context) const;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Listeners, by (address, port), exact first and wildcard second; score as in Linux (compute_score): a match of the
// device counts, the family's exactness counts, SO_REUSEPORT groups are spread by a keyed hash of the remote end.
class ListenTable {
 public:
  explicit ListenTable(Rng& rng);
  ~ListenTable();
  void set_release(EstablishedTable::Release release, void* context);  // as EstablishedTable's
  void insert(Sock* listener);  // in state LISTEN, with its address and port; refs is not touched
  void remove(Sock* listener);  // nothing when it is not there
  // With a reference taken; nullptr: nobody listens.
  Sock* lookup(const FourTuple& t, uint16_t ifindex) const;
  // Frees what insert and remove left for readers that may still look at it, after a grace period: called by the
  // owner at the end of a turn, without a lock. Nothing to do: returns at once.
  void reclaim();
  template <class F>
  void for_each(F&& f) const {
    for_each_raw([](void* c, Sock& s) { (*static_cast<F*>(c))(s); }, &f);
  }

 private:
  void for_each_raw(void (*f)(void*, Sock&), void* context) const;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace leat::inet
