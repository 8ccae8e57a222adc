#include "ip/gro.h"

#include <algorithm>

#include "ip/gso.h"
#include "wire/checksum.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/tcp.h"

namespace leat::ip {

// What a packet is to GRO. is_tcp: it belongs to a flow; is_mergeable: it may be merged.
struct Gro::Segment {
  bool is_v4 = false;
  bool is_tcp = false;
  bool is_mergeable = false;
  uint32_t network = 0;  // bytes of the IP header
  uint32_t headers = 0;  // of IP and TCP
  uint32_t payload = 0;
  const uint8_t* ip = nullptr;
  const uint8_t* tcp() const { return ip + network; }
  uint32_t seq() const { return load_be32(tcp() + 4); }
  uint8_t flags() const { return tcp()[13]; }
  uint16_t id() const { return is_v4 ? load_be16(ip + 4) : uint16_t{0}; }
  bool has_df() const { return !is_v4 || (ip[6] & 0x40) != 0; }

  explicit Segment(Packet& p);

 private:
  uint32_t read_network(Packet& p);  // the packet's length by its header; 0: not a plain one
  bool is_intact(const Packet& p) const;
};

uint32_t Gro::Segment::read_network(Packet& p) {
  if (!p.pull_linear(std::min(p.length, wire::kIpv6HeaderBytes + wire::kTcpHeaderBytes))) return 0;
  const ByteView b = p.linear();
  ip = b.data();
  if (b.size() >= 40 && b[0] == 0x45 && b[9] == wire::kProtocolTcp && (load_be16(&b[6]) & 0x3fff) == 0) {
    is_v4 = true;
    network = wire::kIpv4HeaderBytes;
    return wire::ipv4_checksum(b.first(network)) == 0 ? load_be16(&b[2]) : 0;
  }
  if (b.size() >= 60 && b[0] >> 4 == 6 && b[6] == wire::kProtocolTcp) {
    network = wire::kIpv6HeaderBytes;
    return network + load_be16(&b[4]);
  }
  return 0;
}

Gro::Segment::Segment(Packet& p) {
  const uint32_t length = read_network(p);
  if (length < network + wire::kTcpHeaderBytes || length > p.length) return;
  is_tcp = true;
  headers = network + (uint32_t{tcp()[12]} >> 4) * 4;
  if (headers < network + wire::kTcpHeaderBytes || headers >= length || p.gso_size != 0) return;
  if ((flags() & ~(wire::kTcpPsh | wire::kTcpFin)) != wire::kTcpAck || (tcp()[12] & 0x0f) != 0) return;
  if (!p.pull_linear(headers)) return;
  p.trim(length);
  ip = p.data;
  payload = length - headers;
  is_mergeable = payload <= UINT16_MAX && is_intact(p);
  if (is_mergeable) p.checksum = Checksum::kVerified;
}

bool Gro::Segment::is_intact(const Packet& p) const {
  if (p.checksum == Checksum::kVerified) return true;
  const IpAddress src = is_v4 ? IpAddress::from_v4_bytes(ip + 12) : IpAddress::from_v6_bytes(ip + 8);
  const IpAddress dst = is_v4 ? IpAddress::from_v4_bytes(ip + 16) : IpAddress::from_v6_bytes(ip + 24);
  const uint64_t pseudo = wire::pseudo_header_sum(src, dst, wire::kProtocolTcp, p.length - network);
  return wire::checksum_fold(wire::checksum_packet(pseudo, p, network)) == 0;
}

void Gro::add(PacketPtr packet, PacketQueue& out) {
  Segment s(*packet);
  if (!s.is_tcp) return out.push_back(std::move(packet));
  Flow* f = find(s);
  if (f != nullptr) {
    if (s.is_mergeable && may_merge(*f, s)) {
      const bool ends = s.payload < f->segment || (s.flags() & (wire::kTcpPsh | wire::kTcpFin)) != 0;
      const bool merged = merge(*f, packet, s);
      if (!merged || ends) finish(*f, out);
      if (merged) return;
    } else {
      finish(*f, out);
    }
  }
  const bool ends_at_once = (s.is_mergeable && (s.flags() & (wire::kTcpPsh | wire::kTcpFin)) != 0);
  if (!s.is_mergeable || ends_at_once) return out.push_back(std::move(packet));
  begin(std::move(packet), s, out);
}

Gro::Flow* Gro::find(const Segment& s) {
  for (Flow& f : flows_) {
    if (f.head == nullptr) continue;
    const uint8_t* ip = f.head->data;
    const bool is_v4 = ip[0] >> 4 == 4;
    if (is_v4 != s.is_v4) continue;
    const uint32_t at = is_v4 ? 12 : 8, n = is_v4 ? 8 : 32;
    if (std::memcmp(ip + at, s.ip + at, n) == 0 && std::memcmp(ip + s.network, s.tcp(), 4) == 0) return &f;
  }
  return nullptr;
}

bool Gro::may_merge(const Flow& f, const Segment& s) const {
  const uint8_t* ip = f.head->data;
  const uint8_t* tcp = ip + s.network;
  const bool same_ip = s.is_v4 ? ip[1] == s.ip[1] && ip[8] == s.ip[8] && ((ip[6] ^ s.ip[6]) & 0x40) == 0
                               : std::memcmp(ip, s.ip, 4) == 0 && ip[7] == s.ip[7];
  const uint32_t tcp_bytes = s.headers - s.network;
  // Acknowledgement, data offset, window, options.
  const bool same_tcp = std::memcmp(tcp + 8, s.tcp() + 8, 5) == 0 && load_be16(tcp + 14) == load_be16(s.tcp() + 14) &&
                        std::memcmp(tcp + 20, s.tcp() + 20, tcp_bytes - 20) == 0;
  return same_ip && same_tcp && s.seq() == f.next_seq && (s.has_df() || s.id() == f.next_id) &&
         s.payload <= f.segment && f.head->length + s.payload <= UINT16_MAX;
}

// Payload goes into the fragments of the chain's last packet while there is room, else the packet itself is hung on.
bool Gro::merge(Flow& f, PacketPtr& packet, const Segment& s) {
  if (packet->more != nullptr) return false;  // a chain of its own: not worth the trouble
  const uint8_t flags = s.flags();
  const uint32_t payload = s.payload, next_seq = s.seq() + payload, truesize = packet->truesize;
  if (f.last->frag_count + packet->frag_count + 1u < Packet::kMaxFragments) {
    if (!share_bytes(*f.last, *packet, s.headers, payload, pool_)) return false;
    for (Packet* p = f.head.get(); p != f.last; p = p->more)
      p->length += payload;
    packet.reset();
  } else {
    packet->pull(s.headers);
    for (Packet* p = f.head.get(); p != nullptr; p = p->more)
      p->length += payload;
    f.last->more = packet.release();
    f.last = f.last->more;
  }
  f.head->data[s.network + 13] |= flags;
  f.head->truesize += truesize;
  f.next_seq = next_seq;
  ++f.next_id;
  ++f.count;
  return true;
}

void Gro::begin(PacketPtr packet, const Segment& s, PacketQueue& out) {
  // The header will be rewritten; bytes that somebody else reads are left alone.
  if (packet->more != nullptr || packet->buffer->refs.load(std::memory_order_acquire) != 1) {
    return out.push_back(std::move(packet));
  }
  Flow* f = std::find_if(flows_.begin(), flows_.end(), [](const Flow& x) { return x.head == nullptr; });
  if (f == flows_.end()) {
    f = &flows_[oldest_++ % kFlows];
    finish(*f, out);
  }
  f->next_seq = s.seq() + s.payload;
  f->next_id = static_cast<uint16_t>(s.id() + 1);
  f->segment = static_cast<uint16_t>(s.payload);
  f->count = 1;
  f->last = packet.get();
  f->head = std::move(packet);
}

void Gro::finish(Flow& f, PacketQueue& out) {
  Packet& p = *f.head;
  uint8_t* ip = p.data;
  if (f.count > 1) {
    const bool is_v4 = ip[0] >> 4 == 4;
    if (is_v4) {
      store_be16(ip + 2, static_cast<uint16_t>(p.length));
      store_be16(ip + 10, 0);
      store_be16(ip + 10, wire::ipv4_checksum({ip, wire::kIpv4HeaderBytes}));
    } else {
      store_be16(ip + 4, static_cast<uint16_t>(p.length - wire::kIpv6HeaderBytes));
    }
    p.gso_size = f.segment;
    p.gso_segs = f.count;
    p.gso_type = is_v4 ? GsoType::kTcp4 : GsoType::kTcp6;
  }
  out.push_back(std::move(f.head));
  f = Flow{};
}

void Gro::flush(PacketQueue& out) {
  for (Flow& f : flows_) {
    if (f.head != nullptr) finish(f, out);
  }
}

}  // namespace leat::ip
