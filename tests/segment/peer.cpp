// The far end: from relative numbers to packets and back, and what a failed expectation says.
#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "segment/harness.h"
#include "wire/checksum.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/print.h"

namespace leat::segment {
namespace {

constexpr struct {
  char letter;
  uint8_t flag;
} kFlags[] = {{'F', wire::kTcpFin}, {'S', wire::kTcpSyn}, {'R', wire::kTcpRst}, {'P', wire::kTcpPsh},
              {'.', wire::kTcpAck}, {'U', wire::kTcpUrg}, {'E', wire::kTcpEce}, {'W', wire::kTcpCwr}};

uint8_t flags_of(const std::string& text) {
  uint8_t flags = 0;
  for (const auto& f : kFlags) {
    if (text.find(f.letter) != std::string::npos) flags |= f.flag;
  }
  return flags;
}

std::string text_of(uint8_t flags) {
  std::string text;
  for (const auto& f : kFlags) {
    if (flags & f.flag) text += f.letter;
  }
  return text;
}

IpAddress address_of(const Endpoint& e) {
  return IpAddress::parse(e.host()).value();
}

std::vector<uint8_t> wrap(const IpAddress& src, const IpAddress& dst, const std::vector<uint8_t>& segment) {
  std::vector<uint8_t> packet;
  if (src.is_v6()) {
    wire::Ipv6Header h;
    h.payload_length = static_cast<uint16_t>(segment.size());
    h.next_header = 6;
    h.hop_limit = 64;
    h.src = src;
    h.dst = dst;
    packet.resize(wire::kIpv6HeaderBytes);
    wire::emit_ipv6(h, packet);
  } else {
    wire::Ipv4Header h;
    h.total_length = static_cast<uint16_t>(wire::kIpv4HeaderBytes + segment.size());
    h.dont_fragment = true;
    h.ttl = 64;
    h.protocol = 6;
    h.src = src;
    h.dst = dst;
    packet.resize(wire::kIpv4HeaderBytes);
    wire::emit_ipv4(h, packet);
  }
  packet.insert(packet.end(), segment.begin(), segment.end());
  return packet;
}

std::string relative(const Seg& s) {
  std::string t = "  [" + s.flags + "] seq " + std::to_string(static_cast<int32_t>(s.seq)) + " ack " +
                  std::to_string(static_cast<int32_t>(s.ack)) + " length " + std::to_string(s.length);
  if (s.window) t += " win " + std::to_string(*s.window);
  for (const auto& b : s.sacks)
    t += " sack " + std::to_string(static_cast<int32_t>(b.start)) + ":" + std::to_string(static_cast<int32_t>(b.end));
  return t;
}

}  // namespace

uint32_t Peer::clock() const {
  return static_cast<uint32_t>(harness_.now.ms()) + 1'000'000;
}

void Peer::fill_defaults(Seg& s) const {
  if (!s.window) s.window = window;
  if (timestamps && !s.has_ts && !s.without_ts && s.raw_options.empty()) s.ts(clock(), last_tsval_);
}

std::vector<uint8_t> Peer::to_packet(const Seg& s, bool from_host) const {
  const uint32_t own = from_host ? host_iss.value_or(0) : isn;
  const uint32_t other = from_host ? isn : host_iss.value_or(0);
  wire::TcpHeader h;
  h.src_port = from_host ? host_port : port;
  h.dst_port = from_host ? port : host_port;
  h.flags = flags_of(s.flags);
  h.seq = own + s.seq;
  h.ack = h.has_ack() ? other + s.ack : 0;
  h.window = s.window.value_or(0);
  h.urgent = s.urgent.value_or(0);
  wire::TcpOptions& o = h.options;
  o.mss = s.mss_option.value_or(0);
  o.has_wscale = s.wscale.has_value() && *s.wscale >= 0;
  o.wscale = static_cast<uint8_t>(o.has_wscale ? *s.wscale : 0);
  o.sack_permitted = s.sack_permitted;
  o.has_timestamp = s.has_ts;
  o.tsval = s.tsval;
  o.tsecr = s.tsecr;
  if (s.cookie) o.fast_open = *s.cookie;
  o.sack_count = static_cast<uint8_t>(s.sacks.size());
  for (size_t i = 0; i < s.sacks.size(); ++i)
    o.sacks[i] = {other + s.sacks[i].start, other + s.sacks[i].end};
  std::vector<uint8_t> segment(wire::tcp_header_length(h));
  wire::emit_tcp(h, segment);
  if (!s.raw_options.empty()) {
    segment.resize(wire::kTcpHeaderBytes);
    segment.insert(segment.end(), s.raw_options.begin(), s.raw_options.end());
    segment.resize((segment.size() + 3) / 4 * 4);
    segment[12] = static_cast<uint8_t>(segment.size() / 4 << 4);
  }
  const std::string text = s.data.value_or(stream(s.seq + (h.syn() ? 1u : 0u), s.length));
  segment.insert(segment.end(), text.begin(), text.end());
  const IpAddress host = address_of(harness_.host_endpoint()), far = address_of(harness_.peer_endpoint(port));
  const IpAddress src = from_host ? host : far, dst = from_host ? far : host;
  const uint64_t sum = wire::pseudo_header_sum(src, dst, 6, static_cast<uint32_t>(segment.size()));
  store_be16(segment.data() + 16, wire::checksum_fold(wire::checksum_add(sum, segment)));
  return wrap(src, dst, segment);
}

void Peer::send(const Seg& s) {
  Seg full = s;
  fill_defaults(full);
  harness_.inject(to_packet(full, false));
}

namespace {

size_t tcp_offset(const std::vector<uint8_t>& packet) {
  return packet[0] >> 4 == 6 ? wire::kIpv6HeaderBytes : wire::kIpv4HeaderBytes;
}

}  // namespace

void Peer::send_damaged(const Seg& s) {
  Seg full = s;
  fill_defaults(full);
  std::vector<uint8_t> packet = to_packet(full, false);
  packet.back() ^= 1;
  harness_.inject(packet);
}

void Peer::send_with_offset(const Seg& s, uint8_t data_offset) {
  Seg full = s;
  fill_defaults(full);
  std::vector<uint8_t> packet = to_packet(full, false);
  uint8_t* tcp = packet.data() + tcp_offset(packet);
  const uint16_t word = load_be16(tcp + 12);
  const auto changed = static_cast<uint16_t>((word & 0x0fff) | data_offset << 12);
  // RFC 1624: the checksum follows the change.
  uint32_t sum = static_cast<uint16_t>(~load_be16(tcp + 16)) + static_cast<uint16_t>(~word) + uint32_t{changed};
  while (sum >> 16 != 0)
    sum = (sum & 0xffff) + (sum >> 16);
  store_be16(tcp + 12, changed);
  store_be16(tcp + 16, static_cast<uint16_t>(~sum));
  harness_.inject(packet);
}

void Peer::syn() {
  Seg s("S", 0);
  s.mss(mss);
  if (sack) s.sack_ok();
  if (wscale >= 0) s.ws(wscale);
  if (timestamps) s.ts(clock(), 0);
  send(s);
}

void Peer::synack() {
  Seg s("S.", 0, 1);
  s.mss(mss);
  if (sack) s.sack_ok();
  if (wscale >= 0) s.ws(wscale);
  send(s);
}

// ---- what the host sends ----

void Peer::receive(const std::vector<uint8_t>& packet, const wire::TcpHeader& h, ByteView payload) {
  if (h.syn()) host_iss = h.seq;
  Received r;
  r.packet = packet;
  Seg& s = r.seg;
  s.flags = text_of(h.flags);
  s.seq = h.seq - host_iss.value_or(0);
  s.ack = h.has_ack() ? h.ack - isn : 0;
  s.length = static_cast<uint32_t>(payload.size());
  s.data = std::string(payload.begin(), payload.end());
  s.window = h.window;
  s.urgent = h.urgent;
  if (packet[0] >> 4 == 6) s.flow_label = load_be32(packet.data()) & 0xfffff;
  const wire::TcpOptions& o = h.options;
  for (uint8_t i = 0; i < o.sack_count; ++i)
    s.sacks.push_back({o.sacks[i].start - isn, o.sacks[i].end - isn});
  s.has_ts = o.has_timestamp;
  s.tsval = o.tsval;
  s.tsecr = o.tsecr;
  if (o.mss != 0) s.mss_option = o.mss;
  if (o.has_wscale) s.wscale = o.wscale;
  s.sack_permitted = o.sack_permitted;
  if (o.fast_open.present) s.cookie = o.fast_open;
  s.at = harness_.now;
  if (o.has_timestamp) last_tsval_ = o.tsval;
  received_.push_back(std::move(r));
}

Seg& Seg::fo(const std::vector<uint8_t>& bytes, bool experimental) {
  wire::FastOpenCookie c;
  c.present = true;
  c.experimental = experimental;
  c.length = static_cast<uint8_t>(bytes.size());
  std::copy(bytes.begin(), bytes.end(), c.bytes.begin());
  cookie = c;
  return *this;
}

std::string Peer::compare(const Seg& e, const Received& r) const {
  const Seg& a = r.seg;
  const uint8_t flags = flags_of(e.flags);
  if (flags != flags_of(a.flags)) return "flags";
  if (e.seq != a.seq) return "seq";
  if ((flags & wire::kTcpAck) && e.ack != a.ack) return "ack";
  if (e.length != a.length) return "length";
  const uint32_t first = e.seq + ((flags & wire::kTcpSyn) ? 1u : 0u);
  if (a.length != 0 && *a.data != e.data.value_or(stream(first, e.length))) return "payload";
  if (e.window && e.window != a.window) return "window";
  if (e.urgent && e.urgent != a.urgent) return "urgent pointer";
  if (e.sacks != a.sacks) return "SACK blocks";
  if (e.has_ts && (!a.has_ts || e.tsval != a.tsval || e.tsecr != a.tsecr)) return "timestamps";
  if (e.without_ts && a.has_ts) return "timestamps where none may be";
  if (e.mss_option && e.mss_option != a.mss_option) return "MSS";
  if (e.wscale && e.wscale.value() != a.wscale.value_or(-1)) return "window scale";
  if (e.sack_permitted && !a.sack_permitted) return "sackOK";
  if (e.cookie && e.cookie != a.cookie) return "Fast Open option";
  if (e.without_fo && a.cookie) return "Fast Open option where none may be";
  return {};
}

void Peer::report(const std::string& why, const std::string& expected, const std::string& actual) const {
  ADD_FAILURE() << why << "\nexpected " << expected << "\nactual   " << actual << "\n" << harness_.traces();
}

Seg Peer::expect(const Seg& s) {
  harness_.settle();
  Seg wanted = s;
  if (received_.empty()) {
    report("nothing was sent", wire::to_string_packet(to_packet(s, true)) + "\n" + relative(s), "nothing");
    return {};
  }
  const Received r = std::move(received_.front());
  received_.pop_front();
  if (const std::string difference = compare(s, r); !difference.empty()) {
    if (!wanted.window) wanted.window = r.seg.window;
    if (!wanted.has_ts && !wanted.without_ts && r.seg.has_ts) wanted.ts(r.seg.tsval, r.seg.tsecr);
    report("another " + difference, wire::to_string_packet(to_packet(wanted, true)) + "\n" + relative(wanted),
           wire::to_string_packet(r.packet) + "\n" + relative(r.seg));
  }
  return r.seg;
}

Seg Peer::expect_after(Duration d, const Seg& s) {
  const Time begun = harness_.now;
  expect_nothing();
  const Time end = begun + d + Duration::from_ms(1);
  while (received_.empty() && harness_.stack().next_deadline() <= end) {
    harness_.now = std::max(harness_.now, harness_.stack().next_deadline());
    harness_.settle();
  }
  if (received_.empty()) {
    report("nothing was sent within " + std::to_string(d.ms()) + " ms; the next deadline is in " +
               std::to_string((harness_.stack().next_deadline() - harness_.now).ms()) + " ms",
           relative(s), "nothing");
    return {};
  }
  const Duration took = harness_.now - begun;
  EXPECT_NEAR(static_cast<double>(took.us()), static_cast<double>(d.us()), 1000.0) << "µs until " << relative(s);
  return expect(s);
}

void Peer::expect_nothing() {
  harness_.settle();
  if (received_.empty()) return;
  report("something was sent", "nothing",
         wire::to_string_packet(received_.front().packet) + "\n" + relative(received_.front().seg));
  received_.clear();
}

void Peer::expect_nothing_for(Duration d) {
  harness_.advance(d);
  expect_nothing();
}

std::optional<Seg> Peer::next() {
  harness_.settle();
  if (received_.empty()) return std::nullopt;
  Seg s = std::move(received_.front().seg);
  received_.pop_front();
  return s;
}

std::vector<Seg> Peer::drain() {
  std::vector<Seg> all;
  while (auto s = next())
    all.push_back(std::move(*s));
  return all;
}

}  // namespace leat::segment
