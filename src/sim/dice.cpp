#include "sim/dice.h"

#include "base/bytes.h"

namespace leat::sim {

Seed make_seed(uint64_t number, uint64_t purpose) {
  Seed seed{};
  store_be64(seed.data(), number);
  store_be64(seed.data() + 8, purpose);
  return seed;
}

}  // namespace leat::sim
