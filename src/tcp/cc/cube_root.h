// The integer cube root, rounded down, by which CUBIC finds how long it takes back to its last maximum. Linux's is an
// approximation that is off by 0.2 % in the mean; this one is exact (docs/COMPLIANCE.md).
#pragma once

#include <cstdint>

namespace leat::tcp::cc {

uint32_t cube_root(uint64_t a);

}  // namespace leat::tcp::cc
