// The Internet checksum. The ones' complement sum does not care about the size of its words or, up to one swap of the
// result, about their byte order (RFC 1071 §2), so bytes are added as they lie in memory, eight at a time, in four
// chains that do not wait for each other, and swapped once at the end.
#include "wire/checksum.h"

#include <bit>

namespace leat::wire {
namespace {

using Uint128 = unsigned __int128;  // add and add-with-carry; cannot overflow in any packet

uint64_t load_native64(const uint8_t* p) {
  uint64_t v;
  std::memcpy(&v, p, 8);
  return v;
}

uint64_t add_with_carry(uint64_t a, uint64_t b) {
  a += b;
  return a + (a < b ? 1 : 0);
}

// 16 bits are left; 0 only when the sum is 0. A half is added to the other with the carry that this makes by adding the
// whole to itself turned around: the upper half of the result is what is wanted.
uint16_t fold(uint64_t sum) {
  sum += std::rotl(sum, 32);
  auto half = static_cast<uint32_t>(sum >> 32);
  half += std::rotl(half, 16);
  return static_cast<uint16_t>(half >> 16);
}

uint16_t to_big_endian(uint16_t v) {
  return std::endian::native == std::endian::little ? __builtin_bswap16(v) : v;
}

// Fewer than 8 bytes, as if zeros followed: the last byte is the first one of its word.
uint64_t sum_tail(const uint8_t* p, size_t n) {
  uint64_t sum = 0;
  if (n & 4) {
    uint32_t v;
    std::memcpy(&v, p, 4);
    sum += v;
    p += 4;
  }
  if (n & 2) {
    uint16_t v;
    std::memcpy(&v, p, 2);
    sum += v;
    p += 2;
  }
  if (n & 1) sum += std::endian::native == std::endian::little ? *p : static_cast<uint64_t>(*p) << 8;
  return sum;
}

// The sum of 16-bit words in memory order, folded, as load_be16 would have read them.
uint16_t sum_of(ByteView bytes) {
  const uint8_t* p = bytes.data();
  size_t n = bytes.size();
  if (n == 20) {  // a header of IPv4, of every packet
    const Uint128 sum = Uint128{load_native64(p)} + load_native64(p + 8) + sum_tail(p + 16, 4);
    return to_big_endian(fold(add_with_carry(static_cast<uint64_t>(sum), static_cast<uint64_t>(sum >> 64))));
  }
  Uint128 a = 0, b = 0, c = 0, d = 0;
  for (; n >= 32; p += 32, n -= 32) {
    a += load_native64(p);
    b += load_native64(p + 8);
    c += load_native64(p + 16);
    d += load_native64(p + 24);
  }
  for (; n >= 8; p += 8, n -= 8)
    a += load_native64(p);
  const Uint128 total = a + b + c + d + sum_tail(p, n);
  return to_big_endian(fold(add_with_carry(static_cast<uint64_t>(total), static_cast<uint64_t>(total >> 64))));
}

}  // namespace

uint64_t checksum_add(uint64_t sum, ByteView bytes) {
  return add_with_carry(sum, sum_of(bytes));
}

uint16_t checksum_fold(uint64_t sum) {
  return static_cast<uint16_t>(~fold(sum));
}

uint64_t pseudo_header_sum(const IpAddress& src, const IpAddress& dst, uint8_t protocol, uint32_t length) {
  uint64_t sum = 0;  // RFC 9293 §3.1, RFC 8200 §8.1
  if (src.is_v4()) {
    for (const uint32_t a : {src.v4(), dst.v4()})
      sum += (a >> 16) + (a & 0xffff);
  } else {
    sum = checksum_add(checksum_add(0, {src.bytes(), 16}), {dst.bytes(), 16});
  }
  return sum + protocol + (length >> 16) + (length & 0xffff);
}

uint64_t checksum_packet(uint64_t sum, const Packet& p, uint32_t offset) {
  if (offset >= p.length) return sum;
  bool is_odd = false;  // the piece begins in the middle of a 16-bit word: its bytes have changed places
  p.for_each_piece(offset, p.length - offset, [&](ByteView piece) {
    const uint16_t part = sum_of(piece);
    sum = add_with_carry(sum, is_odd ? __builtin_bswap16(part) : part);
    is_odd ^= (piece.size() & 1) != 0;
  });
  return sum;
}

}  // namespace leat::wire
