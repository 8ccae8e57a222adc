// An endless stream of bytes made from a number: whoever knows the number can write any part of it and check any part.
#pragma once

#include <cstdint>
#include <span>

namespace leat::sim {

class Pattern {
 public:
  explicit Pattern(uint64_t number) : number_(number) {}
  void fill(uint64_t offset, std::span<uint8_t> out) const;
  // How many of the bytes are those of the stream at `offset`: all, or up to the first that is wrong.
  size_t count_matching(uint64_t offset, std::span<const uint8_t> bytes) const;

 private:
  uint64_t word(uint64_t index) const;
  uint64_t number_;
};

}  // namespace leat::sim
