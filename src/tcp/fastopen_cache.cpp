#include "tcp/fastopen_cache.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace leat::tcp {

FastOpenCache::Entry* FastOpenCache::find(const IpAddress& from, const IpAddress& to, bool create) {
  std::array<uint8_t, 32> in;
  std::memcpy(in.data(), from.bytes(), 16);
  std::memcpy(in.data() + 16, to.bytes(), 16);
  std::unique_ptr<Set>& set = sets_[siphash(key_, in) % kSets];
  if (set == nullptr && create) set.reset(new (std::nothrow) Set);
  if (set == nullptr) return nullptr;
  Entry* oldest = set->entries.data();
  for (Entry& e : set->entries) {
    if (e.used != 0 && e.from == from && e.to == to) {
      e.used = ++clock_ == 0 ? ++clock_ : clock_;
      return &e;
    }
    if (e.used == 0 || (oldest->used != 0 && clock_ - e.used > clock_ - oldest->used)) oldest = &e;
  }
  if (!create) return nullptr;
  *oldest = Entry{from, to, {}, ++clock_ == 0 ? ++clock_ : clock_};
  return oldest;
}

FastOpenMetrics FastOpenCache::get(const IpAddress& from, const IpAddress& to) {
  Guard guard(lock_);
  const Entry* e = find(from, to, false);
  return e != nullptr ? e->metrics : FastOpenMetrics{};
}

void FastOpenCache::set(const IpAddress& from, const IpAddress& to, uint16_t mss, const wire::FastOpenCookie& cookie,
                        uint16_t try_exp) {
  Guard guard(lock_);
  Entry* e = find(from, to, true);
  if (e == nullptr) return;
  FastOpenMetrics& m = e->metrics;
  if (mss != 0) m.mss = mss;
  if (cookie.present && cookie.length != 0) {
    m.cookie = cookie;
  } else if (try_exp > m.try_exp && m.cookie.length == 0 && !m.cookie.experimental) {
    m.try_exp = try_exp;
  }
}

void FastOpenCache::clear() {
  Guard guard(lock_);
  for (auto& s : sets_)
    s.reset();
}

size_t FastOpenCache::size() const {
  Guard guard(lock_);
  size_t n = 0;
  for (const auto& s : sets_) {
    if (s == nullptr) continue;
    n +=
        static_cast<size_t>(std::count_if(s->entries.begin(), s->entries.end(), [](const Entry& e) { return e.used; }));
  }
  return n;
}

}  // namespace leat::tcp
