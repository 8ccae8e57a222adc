// The table of connections: a NullsTable without test hooks. The mechanism is in nulls_table.h.
#include "inet/tables.h"

#include "inet/nulls_table.h"

namespace leat::inet {

struct EstablishedTable::Impl : NullsTable<NoReaderHooks> {
  using NullsTable::NullsTable;
};

EstablishedTable::EstablishedTable(Rng& rng, uint32_t entries) : impl_(std::make_unique<Impl>(rng, entries)) {}
EstablishedTable::~EstablishedTable() = default;

void EstablishedTable::set_release(Release release, void* context) {
  impl_->set_release(release, context);
}

SockCommon* EstablishedTable::lookup(uint32_t hash, const FourTuple& t, uint16_t ifindex) const {
  return impl_->lookup(hash, t, ifindex);
}

void EstablishedTable::lookup_batch(std::span<const FourTuple> tuples, uint16_t ifindex,
                                    std::span<SockCommon*> out) const {
  constexpr size_t kAtOnce = 32;
  uint32_t hashes[kAtOnce];
  LEAT_CHECK(out.size() >= tuples.size());
  for (size_t done = 0; done < tuples.size(); done += kAtOnce) {
    const size_t n = tuples.size() - done < kAtOnce ? tuples.size() - done : kAtOnce;
    for (size_t i = 0; i < n; ++i)
      hashes[i] = impl_->hash_of(tuples[done + i]);
    prefetch({hashes, n});
    for (size_t i = 0; i < n; ++i)
      out[done + i] = impl_->lookup(hashes[i], tuples[done + i], ifindex);
  }
}

// Two passes: buckets on their way, objects on their way.
void EstablishedTable::prefetch(std::span<const uint32_t> hashes) const {
  for (const uint32_t hash : hashes)
    impl_->prefetch_bucket(hash);
  for (const uint32_t hash : hashes)
    impl_->prefetch_object(hash);
}

void EstablishedTable::prefetch_bucket(uint32_t hash) const {
  impl_->prefetch_bucket(hash);
}

uint32_t EstablishedTable::hash_of(const FourTuple& t) const {
  return impl_->hash_of(t);
}
void EstablishedTable::insert(SockCommon* s) {
  impl_->insert(s);
}
bool EstablishedTable::insert_unique(SockCommon* s, MayReplace may_replace, void* context, SockCommon** replaced,
                                     uint32_t hash) {
  return impl_->insert_unique(s, may_replace, context, replaced, hash);
}
bool EstablishedTable::replace(SockCommon* old, SockCommon* fresh) {
  return impl_->replace(old, fresh);
}
bool EstablishedTable::remove(SockCommon* s) {
  return impl_->remove(s);
}
void EstablishedTable::grow_if_needed() {
  impl_->grow_if_needed();
}
size_t EstablishedTable::count() const {
  return impl_->count();
}
uint32_t EstablishedTable::buckets() const {
  return impl_->buckets();
}
size_t EstablishedTable::bytes() const {
  return impl_->bytes();
}
void EstablishedTable::for_each_raw(void (*f)(void*, SockCommon&), void* context) const {
  impl_->for_each(f, context);
}
uint32_t EstablishedTable::for_each_some_raw(uint32_t cursor, uint32_t buckets, void (*f)(void*, SockCommon&),
                                             void* context) const {
  return impl_->for_each_some(cursor, buckets, f, context);
}

}  // namespace leat::inet
