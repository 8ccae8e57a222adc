// Tables whose readers can be stopped, and buckets filled on purpose.
#pragma once

#include <deque>
#include <functional>
#include <new>
#include <utility>

#include "inet/nulls_table.h"
#include "support.h"

namespace leat::inet::test {

// `object` and `candidate` are called once each, and may set themselves again.
template <bool CheckEnd = true, bool CompareAgain = true, bool CheckReplaced = true>
struct TestHooks {
  static constexpr bool kCheckEnd = CheckEnd;
  static constexpr bool kCompareAgain = CompareAgain;
  static constexpr bool kCheckReplaced = CheckReplaced;
  static inline std::function<void(const SockCommon*)> object, candidate;
  static inline int objects = 0;  // looked at
  static void on_object(const SockCommon* s) {
    ++objects;
    run(object, s);
  }
  static void on_candidate(const SockCommon* s) { run(candidate, s); }
  static void run(std::function<void(const SockCommon*)>& f, const SockCommon* s) {
    if (!f) return;
    const auto once = std::move(f);
    f = nullptr;
    once(s);
  }
};
using AllChecks = TestHooks<>;

constexpr uint32_t kSlots = 7;

// One tuple after the other whose hash is `wanted`.
template <class Hooks>
struct Tuples {
  template <class Wanted>
  FourTuple next(Wanted wanted) {
    while (!wanted(table.hash_of(numbered(n))))
      ++n;
    return numbered(n++);
  }
  FourTuple of_bucket(uint32_t bucket) {
    return next([&](uint32_t hash) { return (hash & (table.buckets() - 1)) == bucket; });
  }
  const NullsTable<Hooks>& table;
  uint32_t n = 0;
};

template <class Hooks>
SockCommon* find(const NullsTable<Hooks>& table, const FourTuple& t) {
  SockCommon* s = table.lookup(table.hash_of(t), t, 1);
  if (s != nullptr) s->put();
  return s;
}

template <class Hooks>
void add(NullsTable<Hooks>& table, Sock4& s, const FourTuple& t) {
  set_tuple(s, t);
  table.insert(&s);
}
template <class Hooks>
void fill_slots(NullsTable<Hooks>& table, Tuples<Hooks>& tuples, uint32_t bucket, std::deque<Sock4>& fillers) {
  for (uint32_t i = 0; i < kSlots; ++i)
    add(table, fillers.emplace_back(), tuples.of_bucket(bucket));
}
// Its memory becomes another connection.
inline Sock4& made_again(Sock4& s, const FourTuple& t) {
  s.~Sock4();
  Sock4* again = new (&s) Sock4;
  set_tuple(*again, t);
  return *again;
}

}  // namespace leat::inet::test
