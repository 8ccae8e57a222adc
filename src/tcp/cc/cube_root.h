// The integer cube root by which CUBIC finds how long it takes back to its last maximum. Linux's answers exactly, its
// error (0.2 % in the mean) included: the curve is what other senders on the link are measured against.
#pragma once

#include <cstdint>

namespace leat::tcp::cc {

uint32_t cube_root(uint64_t a);

}  // namespace leat::tcp::cc
