// Numbers as few bits: what the record of a sleeping connection (dormant.h) is written in. Packer and Unpacker have the
// same calls, so that one function can name the numbers for both. Only what Packer has written is ever read.
#pragma once

#include <cstdint>
#include <iterator>

namespace leat::tcp {

inline uint64_t zigzag(int64_t v) {
  return (static_cast<uint64_t>(v) << 1) ^ static_cast<uint64_t>(v >> 63);
}
inline int64_t unzigzag(uint64_t v) {
  return static_cast<int64_t>(v >> 1) ^ -static_cast<int64_t>(v & 1);
}

// Numbers as bits, each in the first of these that holds it: most differences are 0 or a few microseconds.
//   0 | 100 + 4 bits: 1 to 16 | 101 + 8: to 272 | 110 + 13: to 8,464 | 1110 + 20: to 1,057,040 | 11110 + 32 | 11111 +
//   64
struct SizeClass {
  uint8_t prefix, prefix_bits, bits;
  uint64_t first;  // the number that all zeros stand for
};
inline constexpr SizeClass kClasses[] = {{1, 3, 4, 1},  // prefixes are written from their lowest bit on
                                         {5, 3, 8, 17},        {3, 3, 13, 273}, {7, 4, 20, 8465},
                                         {15, 5, 32, 1057041}, {31, 5, 64, 0}};

class Packer {
 public:
  explicit Packer(uint8_t* out) : begin_(out), p_(out) {}
  size_t finish() {  // bytes
    while (filled_ > 0) {
      *p_++ = static_cast<uint8_t>(word_);
      word_ >>= 8;
      filled_ -= 8;
    }
    return static_cast<size_t>(p_ - begin_);
  }
  void number(uint64_t v) {
    if (v == 0) return put(0, 1);
    size_t i = 0;
    while (i + 1 < std::size(kClasses) && v >= kClasses[i].first + (uint64_t{1} << kClasses[i].bits))
      ++i;
    const SizeClass& k = kClasses[i];
    put(k.prefix, k.prefix_bits);
    put_long(v - k.first, k.bits);
  }
  template <class T>
  void operator()(T& x) {
    number(static_cast<uint64_t>(x));
  }
  // x is near to base; 32 bits wrap.
  void near(uint32_t& x, uint32_t base) { number(zigzag(static_cast<int32_t>(x - base))); }
  void near(uint64_t& x, uint64_t base) { number(zigzag(static_cast<int64_t>(x - base))); }
  void raw(uint32_t& x) { put(x, 32); }

 private:
  void put(uint64_t v, int bits) {  // at most 32
    word_ |= v << filled_;
    filled_ += bits;
    for (; filled_ >= 8; filled_ -= 8) {
      *p_++ = static_cast<uint8_t>(word_);
      word_ >>= 8;
    }
  }
  void put_long(uint64_t v, int bits) {
    if (bits <= 32) return put(v, bits);
    put(v & 0xffffffff, 32);
    put(v >> 32, bits - 32);
  }

  uint8_t* begin_;
  uint8_t* p_;
  uint64_t word_ = 0;
  int filled_ = 0;  // bits of word_
};

class Unpacker {
 public:
  explicit Unpacker(const uint8_t* in) : p_(in) {}
  uint64_t number() {
    if (take(1) == 0) return 0;
    const SizeClass& k = kClasses[class_of_rest()];
    return k.first + (k.bits <= 32 ? take(k.bits) : take(32) | take(k.bits - 32) << 32);
  }
  template <class T>
  void operator()(T& x) {
    x = static_cast<T>(number());
  }
  void near(uint32_t& x, uint32_t base) { x = base + static_cast<uint32_t>(unzigzag(number())); }
  void near(uint64_t& x, uint64_t base) { x = base + static_cast<uint64_t>(unzigzag(number())); }
  void raw(uint32_t& x) { x = static_cast<uint32_t>(take(32)); }

 private:
  size_t class_of_rest() {  // behind the first 1
    const uint64_t two = take(2);
    if (two == 0) return 0;
    if (two == 2) return 1;
    if (two == 1) return 2;
    return take(1) == 0 ? 3 : take(1) == 0 ? 4 : 5;
  }
  uint64_t take(int bits) {  // at most 32
    for (; filled_ < bits; filled_ += 8)
      word_ |= uint64_t{*p_++} << filled_;
    const uint64_t v = word_ & ((uint64_t{1} << bits) - 1);
    word_ >>= bits;
    filled_ -= bits;
    return v;
  }

  const uint8_t* p_;
  uint64_t word_ = 0;
  int filled_ = 0;
};

}  // namespace leat::tcp
