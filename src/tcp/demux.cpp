// A packet arrives: parse, verify, find whose it is, and hand it to its kind (design decision 5).
#include <algorithm>

#include "inet/sock_lock.h"
#include "tcp/doors.h"
#include "tcp/input.h"
#include "tcp/output.h"
#include "tcp/recovery/recovery.h"
#include "wire/checksum.h"
#include "wire/protocol.h"

namespace leat::tcp {
namespace {

using Drain = void (*)(inet::Sock&, Packet*);
using Lock = inet::SockLock<Drain>;
inline constexpr int32_t kBacklogSlack = 64 * 1024;

// What a parked packet must remember; the header is parsed again when its turn comes.
struct Parked {
  uint8_t dsfield;
  uint8_t ttl;
  uint16_t ifindex;
};

bool verify_checksum(const Packet& p, const ip::PacketInfo& info) {
  if (p.checksum != Checksum::kNone) return true;
  const uint64_t sum = wire::pseudo_header_sum(info.src, info.dst, 6, p.length);
  return wire::checksum_fold(wire::checksum_packet(sum, p, 0)) == 0;
}

// packet.data at the TCP header → Segment, packet.data at the payload. False: not a TCP header.
bool parse_segment(PacketPtr&& packet, uint8_t dsfield, uint8_t ttl, Segment& seg) {
  Packet& p = *packet;
  if (!p.pull_linear(wire::kTcpHeaderBytes)) return false;
  const uint32_t length = static_cast<uint32_t>(p.data[12] >> 4) * 4;
  if (length < wire::kTcpHeaderBytes || !p.pull_linear(length)) return false;
  const wire::TcpHeader& header = seg.header;
  if (!wire::parse_tcp(p.linear(), seg.header)) return false;
  p.set_transport_header();
  p.pull(length);
  seg.length = p.length;
  seg.seq = header.seq;
  seg.end_seq = header.seq + p.length + (header.syn() ? 1u : 0u) + (header.fin() ? 1u : 0u);
  seg.ack = header.ack;
  seg.dsfield = dsfield;
  seg.ttl = ttl;
  seg.ifindex = p.ifindex;
  seg.packet = std::move(packet);
  return true;
}

void trace_in(Tcp& tcp, const TcpSock& s, const Segment& seg) {
  tcp.ns.trace([&] {
    return TraceEvent{.kind = TraceKind::kSegmentIn,
                      .a8 = seg.header.flags,
                      .a16 = seg.header.window,
                      .socket = s.cookie,
                      .a = seg.seq,
                      .b = seg.ack,
                      .c = seg.length};
  });
}

void park(Tcp& tcp, TcpSock& s, Segment& seg) {
  Packet* p = seg.packet.get();
  const auto limit = static_cast<int64_t>(s.rcvbuf) + s.sndbuf + kBacklogSlack;
  if (s.backlog_bytes.load(std::memory_order_relaxed) + p->truesize > limit) {
    tcp.count(Mib::TcpExtTCPBacklogDrop);
    tcp.ns.drop(DropReason::kSocketBacklog);
    return;
  }
  s.backlog_bytes.fetch_add(p->truesize, std::memory_order_relaxed);
  p->data = p->transport_header();  // the header lies in front, still linear
  p->length += seg.header.header_length;
  new (p->control) Parked{seg.dsfield, seg.ttl, seg.ifindex};
  Drain drain = drain_backlog;
  Lock::park(s, seg.packet.release(), drain);
}

void to_connection(Tcp& tcp, TcpSock& s, Segment& seg) {
  if (s.options->min_ttl != 0 && seg.ttl < s.options->min_ttl) {
    tcp.count(Mib::TcpExtTCPMinTTLDrop);
    tcp.ns.drop(DropReason::kTcpMinTtl);
    return;
  }
  if (s.backlog.load(std::memory_order_relaxed) != nullptr || !s.lock.try_lock()) {
    park(tcp, s, seg);
    return;
  }
  deliver_segment(s, seg);
  Drain drain = drain_backlog;
  Lock::release(s, drain);
}

void to_nobody(Tcp& tcp, const inet::FourTuple& tuple, const Segment& seg) {
  tcp.ns.drop(DropReason::kNoSocket);
  send_reset_for(tcp, tuple, seg);
}

void to_listener(Tcp& tcp, const inet::FourTuple& tuple, Segment& seg, Seq time_wait_isn, bool may_reset) {
  inet::Sock* l = tcp.listeners.lookup(tuple, seg.ifindex);
  if (l == nullptr) {
    if (may_reset) to_nobody(tcp, tuple, seg);
    return;
  }
  on_listener_segment(tcp, static_cast<TcpSock&>(*l), tuple, seg, time_wait_isn);
  tcp.release(static_cast<TcpSock&>(*l));
}

void to_request(Tcp& tcp, Request& r, const inet::FourTuple& tuple, Segment& seg) {
  TcpSock* child = on_request_segment(tcp, r, tuple, seg);
  put_request(tcp, r);
  if (child == nullptr) return;
  deliver_segment(*child, seg);
  Drain drain = drain_backlog;
  Lock::release(*child, drain);
  tcp.release(*child);
}

void to_time_wait(Tcp& tcp, TimeWait& t, const inet::FourTuple& tuple, Segment& seg) {
  Seq isn = 0;
  switch (on_time_wait_segment(tcp, t, seg, isn)) {
    case TimeWaitAnswer::kSyn:
      if (inet::Sock* l = tcp.listeners.lookup(tuple, seg.ifindex); l != nullptr) {
        kill_time_wait(tcp, t);
        put_time_wait(tcp, t);
        on_listener_segment(tcp, static_cast<TcpSock&>(*l), tuple, seg, isn);
        tcp.release(static_cast<TcpSock&>(*l));
        return;
      }
      [[fallthrough]];
    case TimeWaitAnswer::kAck:
      send_time_wait_ack(tcp, t, seg);
      break;
    case TimeWaitAnswer::kReset:
      send_reset_for(tcp, tuple, seg);
      kill_time_wait(tcp, t);
      break;
    case TimeWaitAnswer::kSuccess:
      break;
  }
  put_time_wait(tcp, t);
}

void dispatch(Tcp& tcp, const inet::FourTuple& tuple, Segment& seg) {
  const uint32_t known = seg.packet->flow_hash;
  const uint32_t hash = known != 0 ? known : tcp.established.hash_of(tuple);
  inet::SockCommon* found = tcp.established.lookup(hash, tuple, seg.ifindex);
  if (found == nullptr) {
    to_listener(tcp, tuple, seg, 0, true);
    return;
  }
  switch (found->kind) {
    case inet::Kind::kConnection:
      to_connection(tcp, static_cast<TcpSock&>(*found), seg);
      tcp.release(static_cast<TcpSock&>(*found));
      return;
    case inet::Kind::kRequest:
      to_request(tcp, static_cast<Request&>(*found), tuple, seg);
      return;
    case inet::Kind::kTimeWait:
      to_time_wait(tcp, static_cast<TimeWait&>(*found), tuple, seg);
      return;
    default:
      LEAT_CHECK(false);
  }
}

// Whether the verdict asks for a RST, which the tuple's owner sends.
void conclude(Tcp& tcp, TcpSock& s, const inet::FourTuple& tuple, const Segment& seg, Verdict v) {
  if (v.kind == Verdict::kDrop || v.kind == Verdict::kReset) tcp.ns.drop(v.reason);
  if (v.kind == Verdict::kReset) send_reset_for(tcp, tuple, seg);
  (void)s;
}

}  // namespace

void Tcp::on_packet(PacketPtr&& packet, const ip::PacketInfo& info) {
  count(Mib::TcpInSegs);
  if (info.is_broadcast_or_multicast) return;  // RFC 9293 §3.9.2.3
  if (!verify_checksum(*packet, info)) {
    count(Mib::TcpInCsumErrors);
    count(Mib::TcpInErrs);
    ns.drop(DropReason::kTcpCsum);
    return;
  }
  Segment seg;
  packet->ifindex = info.ifindex;
  if (!parse_segment(std::move(packet), info.tos, info.ttl, seg)) {
    count(Mib::TcpInErrs);
    ns.drop(DropReason::kPktTooSmall);
    return;
  }
  dispatch(*this, {info.dst, info.src, seg.header.dst_port, seg.header.src_port}, seg);
}

namespace {

// Whose a frame is, if it is IPv4, not a fragment and without IP options, as most are. false: nothing is known.
bool peek_tuple(const Packet& frame, uint32_t link_header_bytes, inet::FourTuple& t) {
  constexpr size_t kPorts = 24;  // as far as they reach
  const ByteView bytes = frame.linear();
  if (bytes.size() < link_header_bytes + kPorts) return false;
  const uint8_t* p = bytes.data() + link_header_bytes;
  constexpr uint16_t kFragment = 0x3fff;  // more fragments, and the offset
  if (p[0] != 0x45 || p[9] != wire::kProtocolTcp || (load_be16(p + 6) & kFragment) != 0) return false;
  t = {IpAddress::from_v4_bytes(p + 16), IpAddress::from_v4_bytes(p + 12), load_be16(p + 22), load_be16(p + 20)};
  return true;
}

}  // namespace

void Tcp::expect(std::span<Packet* const> frames, uint32_t link_header_bytes) {
  constexpr size_t kAtOnce = 64;
  uint32_t hashes[kAtOnce];
  size_t n = 0;
  for (Packet* frame : frames.first(std::min(frames.size(), kAtOnce))) {
    inet::FourTuple tuple;
    if (!peek_tuple(*frame, link_header_bytes, tuple)) continue;
    hashes[n++] = frame->flow_hash = established.hash_of(tuple);
  }
  established.prefetch({hashes, n});
}

void Tcp::on_time(Time now) {
  request_wheel.advance(now);
  time_wait_wheel.advance(now);
  wheel.advance(now);
}

Time Tcp::next_deadline() const {
  return std::min({wheel.next_deadline(), request_wheel.next_deadline(), time_wait_wheel.next_deadline()});
}

void deliver_segment(TcpSock& s, Segment& seg) {
  Tcp& tcp = *s.tcp;
  Conn* c = wake(s);
  const inet::FourTuple tuple = s.tuple();
  if (c == nullptr && is_dormant(s)) {  // no memory to wake it: as good as lost on the way
    tcp.ns.drop(DropReason::kNoMem);
    return;
  }
  if (c == nullptr || c->state() == State::kClose) {  // closed between look-up and lock
    conclude(tcp, s, tuple, seg, Verdict::reset(DropReason::kTcpClose));
    return;
  }
  refresh_time(*c);
  trace_in(tcp, s, seg);
  c->segs_in += std::max<uint32_t>(1, seg.packet->gso_segs);
  if (seg.length != 0) c->data_segs_in += std::max<uint32_t>(1, seg.packet->gso_segs);
  const Verdict v = c->state() == State::kSynSent ? on_syn_sent_segment(*c, seg) : on_segment(*c, seg);
  conclude(tcp, s, tuple, seg, v);
  if (s.conn == c) flush_effects(*c);
}

void drain_backlog(inet::Sock& sock, Packet* packet) {
  auto& s = static_cast<TcpSock&>(sock);
  s.backlog_bytes.fetch_sub(packet->truesize, std::memory_order_relaxed);
  const Parked parked = *reinterpret_cast<const Parked*>(packet->control);
  packet->ifindex = parked.ifindex;
  Segment seg;
  if (!parse_segment(PacketPtr(packet), parked.dsfield, parked.ttl, seg)) return;
  deliver_segment(s, seg);
}

}  // namespace leat::tcp
