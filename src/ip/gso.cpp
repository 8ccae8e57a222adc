#include "ip/gso.h"

#include <algorithm>

#include "link/checksum_complete.h"
#include "wire/checksum.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/tcp.h"
#include "wire/udp.h"

namespace leat::ip {

namespace {

// Does the piece only lengthen the last fragment?
bool continues(const Packet& to, const Buffer* buffer, uint32_t at) {
  const Fragment& last = to.frags[to.frag_count - 1];
  return last.buffer == buffer && last.offset + last.length == at;
}

// Copies bytes that have no slot left into a buffer of their own, which takes the last slot.
bool copy_rest(Packet& to, const Packet& from, uint32_t offset, uint32_t n, PacketPool& pool) {
  Buffer* b = pool.make_buffer(n);
  if (b == nullptr) return false;
  from.copy_out(offset, b->bytes(), n);
  to.add_fragment(b, 0, n);
  PacketPool::unref(b);
  return true;
}

}  // namespace

bool share_bytes(Packet& to, const Packet& from, uint32_t offset, uint32_t n, PacketPool& pool) {
  uint32_t skip = offset;  // bytes still to be passed over
  uint32_t done = 0;
  bool overflow = false;
  auto piece = [&](Buffer* buffer, const uint8_t* bytes, uint32_t size) {
    if (skip >= size) {
      skip -= size;
      return;
    }
    const uint32_t take = std::min(size - skip, n - done);
    const auto at = static_cast<uint32_t>(bytes + skip - buffer->bytes());
    skip = 0;
    if (take == 0) return;
    if (to.frag_count >= Packet::kMaxFragments - 1 && !continues(to, buffer, at)) {
      overflow = true;
      return;
    }
    to.add_fragment(buffer, at, take);
    done += take;
  };
  for (const Packet* p = &from; p != nullptr && done < n && !overflow; p = p->more) {
    piece(p->buffer, p->data, p->linear_length());
    for (uint16_t i = 0; i < p->frag_count && done < n && !overflow; ++i) {
      piece(p->frags[i].buffer, p->frags[i].bytes(), p->frags[i].length);
    }
  }
  return done == n || (overflow && copy_rest(to, from, offset + done, n - done, pool));
}

namespace {

// What the splitter must know of the headers; offsets from the packet's data.
struct Headers {
  bool is_v4 = false;
  bool is_tcp = false;
  uint32_t transport = 0;
  uint32_t payload = 0;
  IpAddress src, dst;
};

bool read_headers(const Packet& p, Headers& h) {
  const ByteView linear = p.linear();
  const auto network = static_cast<uint32_t>(p.network_header() - p.data);
  h.transport = static_cast<uint32_t>(p.transport_header() - p.data);
  h.is_tcp = p.gso_type != GsoType::kUdp;
  if (network != 0 || linear.size() < h.transport + (h.is_tcp ? 20u : 8u) || h.transport < 20) return false;
  h.is_v4 = linear[0] >> 4 == 4;
  if (!h.is_v4 && h.transport < 40) return false;
  h.src = h.is_v4 ? IpAddress::from_v4_bytes(&linear[12]) : IpAddress::from_v6_bytes(&linear[8]);
  h.dst = h.is_v4 ? IpAddress::from_v4_bytes(&linear[16]) : IpAddress::from_v6_bytes(&linear[24]);
  const uint32_t length = h.is_tcp ? uint32_t{linear[h.transport + 12]} >> 4 << 2 : wire::kUdpHeaderBytes;
  h.payload = h.transport + length;
  return (!h.is_tcp || length >= 20) && linear.size() >= h.payload && p.gso_size != 0;
}

void fix_network_header(uint8_t* ip, const Headers& h, uint32_t length, uint32_t index) {
  if (!h.is_v4) {
    store_be16(ip + 4, static_cast<uint16_t>(length - wire::kIpv6HeaderBytes));
    return;
  }
  store_be16(ip + 2, static_cast<uint16_t>(length));
  store_be16(ip + 4, static_cast<uint16_t>(load_be16(ip + 4) + index));
  store_be16(ip + 10, 0);
  const size_t header_length = static_cast<size_t>(ip[0] & 0x0f) * 4;
  store_be16(ip + 10, wire::checksum_fold(wire::checksum_add(0, {ip, header_length})));
}

void fix_tcp_header(uint8_t* tcp, uint32_t payload_before, bool is_first, bool is_last) {
  store_be32(tcp + 4, load_be32(tcp + 4) + payload_before);
  if (!is_last) tcp[13] &= static_cast<uint8_t>(~(wire::kTcpFin | wire::kTcpPsh));
  if (!is_first) tcp[13] &= static_cast<uint8_t>(~wire::kTcpCwr);
}

// The checksum field gets the pseudo-header sum of its own length, the rest is complete_checksum's.
void start_checksum(Packet& segment, const Headers& h) {
  const uint8_t protocol = h.is_tcp ? wire::kProtocolTcp : wire::kProtocolUdp;
  const uint64_t sum = wire::pseudo_header_sum(h.src, h.dst, protocol, segment.length - h.transport);
  segment.csum_start = segment.transport_offset;
  segment.csum_offset = h.is_tcp ? 16 : 6;
  store_be16(segment.transport_header() + segment.csum_offset, static_cast<uint16_t>(~wire::checksum_fold(sum)));
  segment.checksum = Checksum::kPartial;
}

PacketPtr make_segment(const Packet& super, const Headers& h, uint32_t offset, uint32_t n, PacketPool& pool) {
  PacketPtr s = pool.make(h.payload);
  if (s == nullptr) return nullptr;
  std::memcpy(s->put(h.payload), super.data, h.payload);
  s->set_network_header();
  s->transport_offset = static_cast<uint16_t>(s->network_offset + h.transport);
  s->received = super.received;
  s->departure = super.departure;
  s->ethertype = super.ethertype;
  s->ifindex = super.ifindex;
  s->mark = super.mark;
  s->priority = super.priority;
  s->is_loopback = super.is_loopback;
  if (!share_bytes(*s, super, h.payload + offset, n, pool)) return nullptr;
  return s;
}

}  // namespace

bool gso_split(const Packet& super, PacketPool& pool, bool keep_partial, PacketQueue& out) {
  Headers h;
  if (!read_headers(super, h)) return false;
  const uint32_t total = super.length - h.payload;
  uint32_t index = 0;
  for (uint32_t offset = 0; offset < total || index == 0; ++index) {
    const uint32_t n = std::min<uint32_t>(super.gso_size, total - offset);
    PacketPtr s = make_segment(super, h, offset, n, pool);
    if (s == nullptr) {
      out.clear();
      return false;
    }
    fix_network_header(s->network_header(), h, s->length, index);
    uint8_t* transport = s->transport_header();
    if (h.is_tcp) {
      fix_tcp_header(transport, offset, offset == 0, offset + n == total);
    } else {
      store_be16(transport + 4, static_cast<uint16_t>(s->length - h.transport));
    }
    start_checksum(*s, h);
    if (!keep_partial) leat::complete_checksum(*s);
    out.push_back(std::move(s));
    offset += n;
  }
  return true;
}

}  // namespace leat::ip
