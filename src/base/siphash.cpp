// SipHash-2-4 is libsodium's crypto_shorthash; its eight bytes are read big-endian, so that runs repeat on any host.
#include "base/siphash.h"

#include <sodium/crypto_shorthash.h>

namespace leat {

static_assert(sizeof(SipKey) == crypto_shorthash_KEYBYTES && crypto_shorthash_BYTES == 8);

SipKey make_sip_key(Rng& rng) {
  SipKey key;
  rng.fill(key.data(), key.size());
  return key;
}

uint64_t siphash(const SipKey& key, ByteView bytes) {
  uint8_t out[crypto_shorthash_BYTES];
  crypto_shorthash(out, bytes.data(), bytes.size(), key.data());
  return load_be64(out);
}

}  // namespace leat
