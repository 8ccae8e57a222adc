// TCP segments on the wire (RFC 9293 §3.1, options §3.2; RFC 7323, 2018, 7413).
// TcpView looks at any bytes; TcpHeader is a value that can only make sense.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "wire/ip_address.h"

namespace leat::wire {

inline constexpr uint8_t kTcpFin = 0x01, kTcpSyn = 0x02, kTcpRst = 0x04, kTcpPsh = 0x08, kTcpAck = 0x10, kTcpUrg = 0x20,
                         kTcpEce = 0x40, kTcpCwr = 0x80;
inline constexpr uint32_t kTcpHeaderBytes = 20;
inline constexpr uint32_t kTcpMaxHeaderBytes = 60;

struct SackBlock {
  uint32_t start = 0;  // left edge
  uint32_t end = 0;    // right edge, exclusive
  bool operator==(const SackBlock&) const = default;
};

struct FastOpenCookie {
  uint8_t length = 0;  // 0 with `present`: a request for a cookie; else 4 to 16, even
  bool present = false;
  bool experimental = false;  // option 254 with magic 0xF989
  std::array<uint8_t, 16> bytes{};
  bool operator==(const FastOpenCookie&) const = default;
};

// What Linux reads. An option that is malformed is skipped as Linux does (tcp_parse_options): a length below 2 or past
// the end stops the walk and keeps what came before; a known option with a wrong length is ignored.
struct TcpOptions {
  uint16_t mss = 0;         // 0: absent (SYN only)
  bool has_wscale = false;  // SYN only
  uint8_t wscale = 0;       // as received, cut to 14
  bool wscale_was_cut = false;
  bool sack_permitted = false;  // SYN only
  bool has_timestamp = false;
  uint32_t tsval = 0;
  uint32_t tsecr = 0;
  uint8_t sack_count = 0;
  std::array<SackBlock, 4> sacks{};
  FastOpenCookie fast_open;  // SYN only
  bool operator==(const TcpOptions&) const = default;
};

struct TcpHeader {
  uint16_t src_port = 0;
  uint16_t dst_port = 0;
  uint32_t seq = 0;
  uint32_t ack = 0;
  uint8_t flags = 0;    // kTcp*
  bool ae = false;      // the AE bit (RFC 9768), formerly NS
  uint16_t window = 0;  // as on the wire, unscaled
  uint16_t urgent = 0;
  uint8_t header_length = kTcpHeaderBytes;  // in bytes, with options
  TcpOptions options;

  bool syn() const { return flags & kTcpSyn; }
  bool fin() const { return flags & kTcpFin; }
  bool rst() const { return flags & kTcpRst; }
  bool has_ack() const { return flags & kTcpAck; }
  bool operator==(const TcpHeader&) const = default;
};

// The fixed part and the data offset are checked: nullopt when fewer bytes than the header says or it says < 20.
// `bytes` starts at the TCP header and holds at least the whole header.
std::optional<TcpHeader> parse_tcp(ByteView bytes);
bool parse_tcp(ByteView bytes, TcpHeader& into);  // which is as TcpHeader{} makes it: without a copy

// Only the options (bytes between the fixed header and the data).
void parse_tcp_options(ByteView options, bool is_syn, TcpOptions& out);

// In Linux's order and padding:
//   SYN: mss, sackOK, TS, nop, wscale | without TS: mss, nop, nop, sackOK, nop, wscale | without SACK: mss, nop, wscale
//   with Fast Open cookie behind them, padded with nop; data: nop, nop, TS; nop, nop, sack.
// Writes the header with a zero checksum; `out` has room for tcp_header_length(h).
uint32_t tcp_options_length(const TcpHeader& h);
inline uint32_t tcp_header_length(const TcpHeader& h) {
  return kTcpHeaderBytes + tcp_options_length(h);
}
uint32_t emit_tcp(const TcpHeader& h, MutableBytes out);  // returns the header's length

}  // namespace leat::wire
