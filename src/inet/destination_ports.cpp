// A hash table of bitmaps under one lock, held for at most a walk over the words of a port range.
#include "inet/destination_ports.h"

#include <bit>
#include <new>
#include <utility>

namespace leat::inet {

DestinationPorts::Key DestinationPorts::key_of(const SockCommon& s) const {
  const FourTuple t{s.local(), s.remote(), 0, s.remote_port};
  return {hash_(t), t.local, t.remote, t.remote_port};
}

std::unique_ptr<DestinationPorts::Map>* DestinationPorts::find(const Key& k) const {
  if (chains_.empty()) return nullptr;
  std::unique_ptr<Map>* at = &chains_[k.hash & (chains_.size() - 1)];
  while (*at != nullptr && (*at)->key != k)
    at = &(*at)->next;
  return *at == nullptr ? nullptr : at;
}

bool DestinationPorts::knows(const Key& k) const {
  if (is_empty()) return false;
  Guard g(lock_);
  return find(k) != nullptr;
}

uint32_t DestinationPorts::next_free(const Key* k, uint32_t from, uint32_t end, uint64_t parity, const PortSet& a,
                                     const PortSet& b) const {
  if (from >= end) return end;
  const bool maybe_known = k != nullptr && !is_empty();
  if (maybe_known) lock_.lock();
  std::unique_ptr<Map>* known = maybe_known ? find(*k) : nullptr;
  uint64_t from_here = ~uint64_t{0} << (from & 63);
  uint32_t found = end;
  for (uint32_t w = from >> 6; w <= (end - 1) >> 6; ++w) {
    const uint64_t taken = a.word(w) | b.word(w) | (known != nullptr ? (*known)->words[w] : 0);
    const uint64_t free = ~taken & parity & from_here;
    from_here = ~uint64_t{0};
    if (free == 0) continue;
    found = w * 64 + static_cast<uint32_t>(std::countr_zero(free));
    break;
  }
  if (maybe_known) lock_.unlock();
  return found < end ? found : end;
}

void DestinationPorts::mark(const Key& k, uint16_t port, bool create, size_t connections) {
  if (!create && is_empty()) return;
  Guard g(lock_);
  std::unique_ptr<Map>* at = find(k);
  if (at == nullptr) {
    if (!create || maps_count_.load(std::memory_order_relaxed) > connections / kConnectionsPerMap) return;
    grow();
    std::unique_ptr<Map> fresh(new (std::nothrow) Map{k, nullptr});
    if (fresh == nullptr) return;
    at = &chains_[k.hash & (chains_.size() - 1)];
    fresh->next = std::move(*at);
    *at = std::move(fresh);
    maps_count_.fetch_add(1, std::memory_order_relaxed);
  }
  uint64_t& word = (*at)->words[port >> 6];
  const uint64_t bit = uint64_t{1} << (port & 63);
  (*at)->count += (word & bit) == 0 ? 1 : 0;
  word |= bit;
}

void DestinationPorts::clear(const Key& k, uint16_t port) {
  Guard g(lock_);
  std::unique_ptr<Map>* at = find(k);
  if (at == nullptr) return;
  uint64_t& word = (*at)->words[port >> 6];
  const uint64_t bit = uint64_t{1} << (port & 63);
  (*at)->count -= (word & bit) != 0 ? 1 : 0;
  word &= ~bit;
  if ((*at)->count != 0) return;
  *at = std::move((*at)->next);
  maps_count_.fetch_sub(1, std::memory_order_relaxed);
}

void DestinationPorts::grow() {
  const size_t n = maps_count_.load(std::memory_order_relaxed);
  if (n < chains_.size()) return;
  std::vector<std::unique_ptr<Map>> old(chains_.empty() ? 16 : chains_.size() * 2);
  old.swap(chains_);
  for (std::unique_ptr<Map>& chain : old) {
    while (chain != nullptr) {
      std::unique_ptr<Map> rest = std::move(chain->next);
      std::unique_ptr<Map>& to = chains_[chain->key.hash & (chains_.size() - 1)];
      chain->next = std::move(to);
      to = std::move(chain);
      chain = std::move(rest);
    }
  }
}

size_t DestinationPorts::bytes() const {
  return maps_count_.load(std::memory_order_relaxed) * sizeof(Map);
}

}  // namespace leat::inet
