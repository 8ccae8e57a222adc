// The algorithms that are built in. A socket names one by its place here, plus one (0: the namespace's default).
#include "tcp/cc/algorithms.h"

namespace leat::tcp::cc {
namespace {

// The last ones have no name that a user could ask for: what others become.
constexpr const Algorithm* kAlgorithms[] = {&kReno, &kCubic, &kDctcp, &kVegas, &kWestwood, &kBbr, &kDctcpReno};
constexpr size_t kHidden = 1;

}  // namespace

std::span<const Algorithm* const> available() {
  return std::span(kAlgorithms).first(std::size(kAlgorithms) - kHidden);
}

const Algorithm* find(std::string_view name) {
  for (const Algorithm* a : available()) {
    if (name == a->name) return a;
  }
  return nullptr;
}

const Algorithm* at(uint8_t index) {
  if (index == 0 || index > std::size(kAlgorithms)) return nullptr;
  return kAlgorithms[index - 1];
}

uint8_t index_of(const Algorithm& a) {
  for (size_t i = 0; i < std::size(kAlgorithms); ++i) {
    if (kAlgorithms[i] == &a) return static_cast<uint8_t>(i + 1);
  }
  return 0;
}

}  // namespace leat::tcp::cc
