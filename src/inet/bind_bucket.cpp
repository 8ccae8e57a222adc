// Owners of a port and their conflicts. Few owners lie in one list; beyond kPerList for each list they are spread by
// address over twice as many.
#include "inet/bind_bucket.h"

namespace leat::inet {
namespace {

bool any_conflicts(BindBucket::Owners& owners, const BoundSock& s, BindFor purpose) {
  for (const BoundSock& owner : owners) {
    if (conflicts(s, owner, purpose)) return true;
  }
  return false;
}

}  // namespace

void BindBucket::add(BoundSock& s, const WordHash& hash) {
  if (count_ == 0) {
    all_reuse_address_ = all_reuse_port_ = true;
    has_listened_ = false;
    by_address_.reset();
    lists_ = 0;
  }
  all_reuse_address_ = all_reuse_address_ && s.reuse_address;
  all_reuse_port_ = all_reuse_port_ && s.reuse_port;
  if (++count_ > kPerList * (lists_ == 0 ? 4 : lists_) && lists_ < kMostLists) spread(hash);
  list_for(s.local(), hash).push_back(&s);
  s.bind_bucket = this;
}

void BindBucket::remove(BoundSock& s) {
  Owners::erase(&s);
  s.bind_bucket = nullptr;
  --count_;
}

void BindBucket::put_in_place_of(BoundSock& old, BoundSock& fresh) {
  fresh.bind_node = old.bind_node;
  fresh.bind_node.prev->next = fresh.bind_node.next->prev = &fresh.bind_node;
  fresh.bind_bucket = this;
  old.bind_node = {};
  old.bind_bucket = nullptr;
}

BindBucket::Owners& BindBucket::list_for(const IpAddress& local, const WordHash& hash) {
  if (lists_ == 0 || local.is_any()) return wildcard_;
  return by_address_[hash(local, 0) & (lists_ - 1)];
}

void BindBucket::spread(const WordHash& hash) {
  Owners all;
  const auto take = [&all](Owners& from) {
    while (BoundSock* s = from.pop_front())
      all.push_back(s);
  };
  take(wildcard_);
  for (uint32_t i = 0; i < lists_; ++i)
    take(by_address_[i]);
  lists_ = lists_ == 0 ? 8 : lists_ * 2;
  by_address_ = std::make_unique<Owners[]>(lists_);
  while (BoundSock* s = all.pop_front())
    list_for(s->local(), hash).push_back(s);
}

bool BindBucket::conflicts_with(const BoundSock& s, BindFor purpose, const WordHash& hash) {
  if (count_ == 0) return false;
  if (purpose == BindFor::kGivenPort) {
    if (s.reuse_port && all_reuse_port_) return false;
    if (s.reuse_address && all_reuse_address_ && !has_listened_) return false;
  }
  if (any_conflicts(wildcard_, s, purpose)) return true;
  if (lists_ == 0) return false;
  const IpAddress local = s.local();
  if (!local.is_any()) return any_conflicts(list_for(local, hash), s, purpose);
  for (uint32_t i = 0; i < lists_; ++i) {
    if (any_conflicts(by_address_[i], s, purpose)) return true;
  }
  return false;
}

}  // namespace leat::inet
