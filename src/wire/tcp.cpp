// TCP header codec. Reading tolerates what Linux tolerates; writing produces Linux's bytes, because middleboxes and
// tests know them. MD5, AO, MPTCP and SMC options are passed over.
#include "wire/tcp.h"

#include <algorithm>

#include "base/check.h"

namespace leat::wire {
namespace {

constexpr uint8_t kEol = 0, kNop = 1, kMss = 2, kWscale = 3, kSackOk = 4, kSack = 5, kTimestamp = 8, kFastOpen = 34,
                  kExperiment = 254;
constexpr uint16_t kFastOpenMagic = 0xf989;  // RFC 7413 §7
constexpr uint8_t kMaxWscale = 14;           // RFC 7323 §2.3
constexpr uint32_t kMaxOptionBytes = kTcpMaxHeaderBytes - kTcpHeaderBytes;

// `value`: the cookie alone. An odd length is ignored; an even one out of range takes back what an earlier option said.
void read_fast_open(ByteView value, bool is_experimental, TcpOptions& out) {
  if (value.size() % 2 != 0) return;
  out.fast_open = {};
  if (value.size() == 2 || value.size() > out.fast_open.bytes.size()) return;
  out.fast_open.present = true;
  out.fast_open.experimental = is_experimental;
  out.fast_open.length = static_cast<uint8_t>(value.size());
  std::copy(value.begin(), value.end(), out.fast_open.bytes.begin());
}

void read_sack(ByteView value, TcpOptions& out) {
  if (value.size() < 8 || value.size() % 8 != 0) return;
  out.sacks = {};
  out.sack_count = static_cast<uint8_t>(std::min(value.size() / 8, out.sacks.size()));
  for (size_t i = 0; i < out.sack_count; ++i) {
    out.sacks[i] = {load_be32(value.data() + 8 * i), load_be32(value.data() + 8 * i + 4)};
  }
}

void read_wscale(uint8_t shift, TcpOptions& out) {
  out.has_wscale = true;
  out.wscale = std::min(shift, kMaxWscale);
  out.wscale_was_cut = shift > kMaxWscale;
}

void read_syn_option(uint8_t kind, ByteView value, TcpOptions& out) {
  if (kind == kMss && value.size() == 2) {
    if (const uint16_t mss = load_be16(value.data()); mss != 0) out.mss = mss;
  } else if (kind == kWscale && value.size() == 1) {
    read_wscale(value[0], out);
  } else if (kind == kSackOk && value.empty()) {
    out.sack_permitted = true;
  } else if (kind == kFastOpen) {
    read_fast_open(value, false, out);
  } else if (kind == kExperiment && value.size() >= 2 && load_be16(value.data()) == kFastOpenMagic) {
    read_fast_open(value.subspan(2), true, out);
  }
}

void read_option(uint8_t kind, ByteView value, bool is_syn, TcpOptions& out) {
  if (kind == kTimestamp && value.size() == 8) {
    out.has_timestamp = true;
    out.tsval = load_be32(value.data());
    out.tsecr = load_be32(value.data() + 4);
  } else if (is_syn) {
    read_syn_option(kind, value, out);
  } else if (kind == kSack) {
    read_sack(value, out);
  }
}

// The options of nearly every segment but a SYN: nop, nop, timestamp.
bool read_lone_timestamp(const uint8_t* p, uint32_t length, TcpOptions& out) {
  if (length != 12 || load_be32(p) != (kNop << 24 | kNop << 16 | kTimestamp << 8 | 10u)) return false;
  out.has_timestamp = true;
  out.tsval = load_be32(p + 4);
  out.tsecr = load_be32(p + 8);
  return true;
}

// What an emitted header will carry: the same answers for measuring and for writing.
struct Layout {
  uint32_t length = 0;
  uint32_t sacks = 0;
  bool has_fast_open = false;
};

uint32_t fast_open_length(const FastOpenCookie& c) {
  return ((c.experimental ? 4u : 2u) + c.length + 3u) & ~3u;
}

[[gnu::always_inline]] inline Layout lay_out(const TcpOptions& o) {
  Layout l;
  if (o.mss != 0) l.length += 4;
  if (o.has_timestamp) l.length += 12;  // sackOK takes the place of its two nops
  if (o.sack_permitted && !o.has_timestamp) l.length += 4;
  if (o.has_wscale) l.length += 4;
  if (o.fast_open.present && o.fast_open.length <= o.fast_open.bytes.size()) {
    l.has_fast_open = l.length + fast_open_length(o.fast_open) <= kMaxOptionBytes;
    if (l.has_fast_open) l.length += fast_open_length(o.fast_open);
  }
  if (o.sack_count != 0 && l.length + 12 <= kMaxOptionBytes) {
    l.sacks =
        std::min({uint32_t{o.sack_count}, static_cast<uint32_t>(o.sacks.size()), (kMaxOptionBytes - l.length - 4) / 8});
    l.length += 4 + 8 * l.sacks;
  }
  return l;
}

uint8_t* put4(uint8_t* p, uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
  p[0] = a, p[1] = b, p[2] = c, p[3] = d;
  return p + 4;
}

uint8_t* put_timestamp(uint8_t* p, const TcpOptions& o) {
  p = o.sack_permitted ? put4(p, kSackOk, 2, kTimestamp, 10) : put4(p, kNop, kNop, kTimestamp, 10);
  store_be32(p, o.tsval);
  store_be32(p + 4, o.tsecr);
  return p + 8;
}

uint8_t* put_sacks(uint8_t* p, const TcpOptions& o, uint32_t count) {
  p = put4(p, kNop, kNop, kSack, static_cast<uint8_t>(2 + 8 * count));
  for (uint32_t i = 0; i < count; ++i, p += 8) {
    store_be32(p, o.sacks[i].start);
    store_be32(p + 4, o.sacks[i].end);
  }
  return p;
}

uint8_t* put_fast_open(uint8_t* p, const FastOpenCookie& c) {
  uint8_t* const end = p + fast_open_length(c);
  const uint8_t head = c.experimental ? 4 : 2;
  p[0] = c.experimental ? kExperiment : kFastOpen;
  p[1] = static_cast<uint8_t>(head + c.length);
  if (c.experimental) store_be16(p + 2, kFastOpenMagic);
  p = std::copy_n(c.bytes.begin(), c.length, p + head);
  std::fill(p, end, kNop);
  return end;
}

void put_options(uint8_t* p, const TcpOptions& o, const Layout& l) {
  if (o.mss != 0) p = put4(p, kMss, 4, static_cast<uint8_t>(o.mss >> 8), static_cast<uint8_t>(o.mss));
  if (o.has_timestamp) p = put_timestamp(p, o);
  if (o.sack_permitted && !o.has_timestamp) p = put4(p, kNop, kNop, kSackOk, 2);
  if (o.has_wscale) p = put4(p, kNop, kWscale, 3, o.wscale);
  if (l.sacks != 0) p = put_sacks(p, o, l.sacks);
  if (l.has_fast_open) put_fast_open(p, o.fast_open);
}

}  // namespace

std::optional<TcpHeader> parse_tcp(ByteView bytes) {
  std::optional<TcpHeader> h(std::in_place);
  if (!parse_tcp(bytes, *h)) h.reset();
  return h;
}

bool parse_tcp(ByteView bytes, TcpHeader& h) {
  if (bytes.size() < kTcpHeaderBytes) return false;
  const uint8_t* p = bytes.data();
  const uint8_t header_length = static_cast<uint8_t>((p[12] >> 4) * 4);
  if (header_length < kTcpHeaderBytes || header_length > bytes.size()) return false;
  h.src_port = load_be16(p);
  h.dst_port = load_be16(p + 2);
  h.seq = load_be32(p + 4);
  h.ack = load_be32(p + 8);
  h.flags = p[13];
  h.ae = p[12] & 1;
  h.window = load_be16(p + 14);
  h.urgent = load_be16(p + 18);
  h.header_length = header_length;
  const uint32_t length = header_length - kTcpHeaderBytes;
  if (!read_lone_timestamp(p + kTcpHeaderBytes, length, h.options))
    parse_tcp_options(bytes.subspan(kTcpHeaderBytes, length), h.syn(), h.options);
  return true;
}

void parse_tcp_options(ByteView options, bool is_syn, TcpOptions& out) {
  while (!options.empty()) {
    const uint8_t kind = options[0];
    if (kind == kEol) return;
    if (kind == kNop) {
      options = options.subspan(1);
      continue;
    }
    if (options.size() < 2) return;
    const size_t size = options[1];
    if (size < 2 || size > options.size()) return;
    read_option(kind, options.subspan(2, size - 2), is_syn, out);
    options = options.subspan(size);
  }
}

uint32_t tcp_options_length(const TcpHeader& h) {
  return lay_out(h.options).length;
}

uint32_t emit_tcp(const TcpHeader& h, MutableBytes out) {
  const Layout layout = lay_out(h.options);
  const uint32_t header_length = kTcpHeaderBytes + layout.length;
  LEAT_CHECK(out.size() >= header_length);
  uint8_t* p = out.data();
  store_be16(p, h.src_port);
  store_be16(p + 2, h.dst_port);
  store_be32(p + 4, h.seq);
  store_be32(p + 8, h.ack);
  p[12] = static_cast<uint8_t>(header_length / 4 << 4 | (h.ae ? 1 : 0));
  p[13] = h.flags;
  store_be16(p + 14, h.window);
  store_be16(p + 16, 0);
  store_be16(p + 18, h.urgent);
  put_options(p + kTcpHeaderBytes, h.options, layout);
  return header_length;
}

}  // namespace leat::wire
