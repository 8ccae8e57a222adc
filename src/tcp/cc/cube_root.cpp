#include "tcp/cc/cube_root.h"

namespace leat::tcp::cc {

// One bit of the root at a time, from the top: 2^22 - 1 is the largest root of 64 bits.
uint32_t cube_root(uint64_t a) {
  uint64_t root = 0;
  for (int bit = 21; bit >= 0; --bit) {
    const uint64_t tried = root | uint64_t{1} << bit;
    if (tried * tried <= a / tried) root = tried;  // the cube itself may not fit
  }
  return static_cast<uint32_t>(root);
}

}  // namespace leat::tcp::cc
