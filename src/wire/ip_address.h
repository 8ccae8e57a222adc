// An IPv4 or IPv6 address: 16 bytes and a family, one type for both (design decision 8).
#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/errno.h"

namespace leat {

enum class Family : uint8_t { kNone = 0, kIpv4 = 2, kIpv6 = 10 };  // Linux's AF_INET and AF_INET6

// IPv4 lies in the last four of the 16 bytes, the first twelve are zero. Bytes are in network order.
class IpAddress {
 public:
  constexpr IpAddress() = default;
  static IpAddress from_v4(uint32_t host_order) {
    IpAddress a;
    a.family_ = Family::kIpv4;
    if constexpr (std::endian::native == std::endian::little) {
      // In one store: a copy that follows at once would have to wait for two.
      using Words = uint64_t __attribute__((vector_size(16)));
      const Words words = {0, uint64_t{__builtin_bswap32(host_order)} << 32};
      std::memcpy(a.bytes_.data(), &words, 16);
    } else {
      store_be32(a.bytes_.data() + 12, host_order);
    }
    return a;
  }
  static IpAddress from_v4_bytes(const uint8_t* p) { return from_v4(load_be32(p)); }
  static IpAddress from_v6_bytes(const uint8_t* p) {
    IpAddress a;
    a.family_ = Family::kIpv6;
    std::memcpy(a.bytes_.data(), p, 16);
    return a;
  }
  static IpAddress any(Family f) {
    IpAddress a;
    a.family_ = f;
    return a;
  }
  // "192.0.2.1", "fd00::1"; EINVAL otherwise.
  static Result<IpAddress> parse(std::string_view text);

  Family family() const { return family_; }
  bool is_v4() const { return family_ == Family::kIpv4; }
  bool is_v6() const { return family_ == Family::kIpv6; }
  uint32_t v4() const { return load_be32(bytes_.data() + 12); }
  const uint8_t* v4_bytes() const { return bytes_.data() + 12; }
  const uint8_t* bytes() const { return bytes_.data(); }  // all 16
  int bits() const { return is_v4() ? 32 : 128; }

  bool is_any() const { return (word(0) | word(8)) == 0; }
  bool is_loopback() const {  // 127/8, ::1
    return is_v4() ? bytes_[12] == 127 : is_v6() && word(0) == 0 && load_be64(bytes_.data() + 8) == 1;
  }
  bool is_multicast() const {  // 224/4, ff00::/8
    return is_v4() ? (bytes_[12] & 0xf0) == 0xe0 : is_v6() && bytes_[0] == 0xff;
  }
  bool is_broadcast() const { return is_v4() && v4() == 0xffffffff; }  // 255.255.255.255
  bool is_link_local() const;                                          // 169.254/16, fe80::/10
  bool is_v4_mapped() const;                                           // ::ffff:a.b.c.d
  IpAddress to_v4_mapped() const;                                      // v4 → ::ffff:v4; a v6 stays itself
  IpAddress from_v4_mapped() const;                                    // the reverse; anything else stays itself
  bool has_prefix(const IpAddress& net, int prefix_bits) const {       // same family and the first bits equal
    if (family_ != net.family_) return false;
    if (!is_v4()) return has_v6_prefix(net, prefix_bits);
    return prefix_bits <= 0 || (v4() ^ net.v4()) >> (prefix_bits < 32 ? 32 - prefix_bits : 0) == 0;
  }
  std::string to_string() const;  // RFC 5952

  // Of every packet more than once, so by words: a call of memcmp for each would be a twentieth of its way.
  bool operator==(const IpAddress& o) const {
    return ((word(0) ^ o.word(0)) | (word(8) ^ o.word(8))) == 0 && family_ == o.family_;
  }
  std::strong_ordering operator<=>(const IpAddress& o) const {
    if (word(0) != o.word(0)) return load_be64(bytes_.data()) <=> load_be64(o.bytes_.data());
    if (word(8) != o.word(8)) return load_be64(bytes_.data() + 8) <=> load_be64(o.bytes_.data() + 8);
    return family_ <=> o.family_;
  }
  // Of hash functions: eight bytes as they lie in memory.
  uint64_t word(size_t at) const {
    uint64_t w;
    std::memcpy(&w, bytes_.data() + at, 8);
    return w;
  }

 private:
  bool has_v6_prefix(const IpAddress& net, int prefix_bits) const;
  std::array<uint8_t, 16> bytes_{};
  Family family_ = Family::kNone;
};

struct Cidr {
  IpAddress address;
  int prefix = 0;
  static Result<Cidr> parse(std::string_view text);  // "10.0.0.1/24"; without a prefix: the whole address
  bool contains(const IpAddress& a) const { return a.has_prefix(address, prefix); }
  std::string to_string() const;
};

}  // namespace leat
