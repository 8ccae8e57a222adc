// Keyed hashes (SipHash-2-4): hash tables, ISNs, cookies. A peer who does not know the key cannot aim.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.h"
#include "base/rng.h"

namespace leat {

using SipKey = std::array<uint8_t, 16>;

SipKey make_sip_key(Rng& rng);
uint64_t siphash(const SipKey& key, ByteView bytes);
template <class T>
uint64_t siphash_of(const SipKey& key, const T& plain) {  // T: no padding
  return siphash(key, ByteView(reinterpret_cast<const uint8_t*>(&plain), sizeof plain));
}

}  // namespace leat
