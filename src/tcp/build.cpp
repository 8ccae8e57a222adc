// Headers: a queued segment becomes a packet of its own, which shares the payload with the queue; and the bare segments
// that no connection keeps (RST, ACKs of time-waits and requests).
#include <algorithm>

#include "tcp/input.h"
#include "tcp/output.h"
#include "tcp/recovery/recovery.h"
#include "wire/checksum.h"

namespace leat::tcp {
namespace {

inline constexpr uint8_t kProtocolTcp = 6;
inline constexpr uint16_t kChecksumOffset = 16;

void fill_syn_options(Conn& c, wire::TcpOptions& o) {
  const auto& sys = c.tcp.ns.sysctl;
  c.advmss = std::min(c.advmss, advertised_mss(c));  // the path may have become narrower since the first SYN
  o.mss = static_cast<uint16_t>(c.advmss);
  // Also in the SYN-ACK of crossed SYNs: Linux offers what it has, whatever the peer's SYN said.
  if (sys.tcp_timestamps != 0) {
    o.has_timestamp = true;
    o.tsecr = c.rx_opt.ts_recent;
  }
  if (sys.tcp_window_scaling != 0) {
    o.has_wscale = true;
    o.wscale = c.rx_opt.rcv_wscale;
  }
  o.sack_permitted = sys.tcp_sack != 0;
  if (c.syn_cookie != nullptr) o.fast_open = *c.syn_cookie;
}

void fill_established_options(Conn& c, wire::TcpOptions& o) {
  uint32_t room = wire::kTcpMaxHeaderBytes - wire::kTcpHeaderBytes;
  if (c.rx_opt.tstamp_ok) {
    o.has_timestamp = true;
    o.tsecr = c.rx_opt.ts_recent;
    room -= 12;
  }
  const uint32_t blocks = c.rx_opt.num_sacks + (c.has_dsack ? 1u : 0u);
  if (blocks == 0 || !c.rx_opt.sack_ok || room < 12) return;
  o.sack_count = static_cast<uint8_t>(std::min(blocks, (room - 4) / 8));
  size_t n = 0;
  if (c.has_dsack) o.sacks[n++] = c.duplicate_sack;  // RFC 2883 §4: first, and once
  for (size_t i = 0; n < o.sack_count; ++i)
    o.sacks[n++] = c.selective_acks[i];
  c.has_dsack = false;  // told once
}

void fill_urgent(const Conn& c, Seq seq, wire::TcpHeader& h) {
  if (!c.urg_mode || !before(seq, c.snd_up)) return;
  if (before(c.snd_up, seq + 0x10000)) {
    h.urgent = static_cast<uint16_t>(c.snd_up - seq);
    h.flags |= wire::kTcpUrg;
  } else if (after(seq + 0xffff, c.snd_nxt)) {
    h.urgent = 0xffff;
    h.flags |= wire::kTcpUrg;
  }
}

// RFC 3168 §6.1: new data are ECN-capable, retransmissions and pure ACKs are not. Returns the ECN bits of the IP
// header.
uint8_t fill_ecn(Conn& c, Seq seq, uint32_t length, wire::TcpHeader& h) {
  c.sent_ecn = 0;
  if (!(c.ecn_flags & kEcnOk)) return 0;
  uint8_t ect = 0;
  if (length != 0 && !before(seq, c.snd_nxt)) {
    ect = 2;  // ECT(0)
    if (c.ecn_flags & kEcnQueueCwr) {
      c.ecn_flags &= static_cast<uint8_t>(~kEcnQueueCwr);
      h.flags |= wire::kTcpCwr;
    }
  } else if (c.cc_algorithm->flags & cc::kNeedsEcn) {
    ect = 2;
  }
  if (c.ecn_flags & kEcnDemandCwr) h.flags |= wire::kTcpEce;
  c.sent_ecn = ect;
  return ect;
}

wire::TcpHeader make_header(Conn& c, Seq seq, uint8_t flags, uint64_t sent_us) {
  wire::TcpHeader h;
  h.src_port = c.sk.local_port;
  h.dst_port = c.sk.remote_port;
  h.seq = seq;
  h.flags = flags;
  if (h.has_ack()) h.ack = c.rcv_nxt;
  if (h.syn()) {
    fill_syn_options(c, h.options);
    h.window = static_cast<uint16_t>(std::min(c.rcv_wnd, 65535u));  // RFC 7323 §2.2: never scaled
  } else {
    fill_established_options(c, h.options);
    h.window = select_window(c);
  }
  h.options.tsval = static_cast<uint32_t>(sent_us / 1000) + c.tsoffset;
  return h;
}

// A packet with the header in front of `payload`'s bytes, which it shares; the checksum is left to the link or ip.
PacketPtr make_packet(PacketPool& pool, const wire::TcpHeader& h, const inet::FourTuple& tuple, const Packet* payload,
                      ByteView bytes) {
  PacketPtr p = pool.make(wire::kTcpMaxHeaderBytes + static_cast<uint32_t>(bytes.size()));
  if (p == nullptr) return p;
  const uint32_t header_length = wire::tcp_header_length(h);
  uint8_t* out = p->put(header_length);
  wire::emit_tcp(h, MutableBytes(out, header_length));
  p->set_transport_header();
  if (!bytes.empty()) std::memcpy(p->put(static_cast<uint32_t>(bytes.size())), bytes.data(), bytes.size());
  if (payload != nullptr) {
    for (uint16_t i = 0; i < payload->frag_count; ++i) {
      p->add_fragment(payload->frags[i].buffer, payload->frags[i].offset, payload->frags[i].length);
    }
  }
  const uint64_t sum = wire::pseudo_header_sum(tuple.local, tuple.remote, kProtocolTcp, p->length);
  store_be16(out + kChecksumOffset, static_cast<uint16_t>(~wire::checksum_fold(sum)));
  p->checksum = Checksum::kPartial;
  p->csum_start = p->transport_offset;
  p->csum_offset = kChecksumOffset;
  return p;
}

void trace_out(Conn& c, const wire::TcpHeader& h, uint32_t length) {
  c.tcp.ns.trace([&] {
    return TraceEvent{.kind = TraceKind::kSegmentOut,
                      .a8 = h.flags,
                      .a16 = h.window,
                      .socket = c.sk.cookie,
                      .a = h.seq,
                      .b = h.ack,
                      .c = length};
  });
}

void on_data_sent(Conn& c, uint32_t segs, uint32_t length) {
  if (c.packets_in_flight() == 0) cwnd_event(c, cc::Event::kTxStart);
  c.lsndtime = c.jiffies();
  // An answer within ato of the last data makes the session interactive: its ACKs ride on data.
  const uint32_t since = c.jiffies() - c.ack.lrcvtime;
  if (since < static_cast<uint32_t>(c.ack.ato.ms()) && c.ack.pingpong < 255) ++c.ack.pingpong;
  c.data_segs_out += segs;
  c.bytes_sent += length;
}

// The next departure moves out by the time that this segment takes at the pacing rate (fq's rule: not for the first
// 10).
void update_after_send(Conn& c, TxSegment& t, uint64_t prior_wstamp_ns, uint32_t bytes) {
  if (is_paced(c) && c.pacing_rate != ~uint64_t{0} && c.pacing_rate != 0 && c.data_segs_out >= kInitialCwnd) {
    uint64_t len_ns = static_cast<uint64_t>(bytes) * 1'000'000'000 / c.pacing_rate;
    const uint64_t credit = c.wstamp_ns - prior_wstamp_ns;
    len_ns -= std::min(len_ns / 2, credit);
    c.wstamp_ns += len_ns;
  }
  if (t.by_time.is_linked()) t.by_time.unlink();
  c.tsorted_sent.push_back(&t);
}

// As in Linux a connection counts its IP identifications itself, from where nobody can tell.
ip::SendParams send_params(const Conn& c, uint8_t ecn, uint32_t segs) {
  const inet::SockOptions& o = *c.sk.options;
  ip::SendParams params;
  params.has_id = true;
  params.id = static_cast<uint16_t>((c.tsoffset >> 16) + c.segs_out - segs);
  params.src = c.sk.local();
  params.dst = c.sk.remote();
  params.protocol = kProtocolTcp;
  params.tos = static_cast<uint8_t>((o.tos & ~3) | ecn);
  params.ttl = o.ttl;
  params.dont_fragment = o.pmtu_discover != 0;
  params.ignore_pmtu = o.pmtu_discover >= 3;
  params.flow_label = c.flow_label;
  return params;
}

void set_gso(Packet& p, const Conn& c, const TxSegment& t) {
  p.mark = c.sk.options->mark;
  p.priority = c.sk.options->priority;
  if (t.segs <= 1) return;
  p.gso_size = t.mss;
  p.gso_segs = t.segs;
  p.gso_type = c.sk.addresses_are_v6 ? GsoType::kTcp6 : GsoType::kTcp4;
}

}  // namespace

int transmit_segment(Conn& c, TxSegment& t, bool keep) {
  if (!refresh_route(c)) return EHOSTUNREACH;
  const uint64_t prior_wstamp_ns = c.wstamp_ns;
  c.wstamp_ns = std::max(c.wstamp_ns, c.clock_cache_ns);
  t.sent_us = c.wstamp_ns / 1000;
  const uint32_t length = t.length();
  wire::TcpHeader h = make_header(c, t.seq, t.flags, t.sent_us);
  if (t.segs > 1) h.flags |= wire::kTcpPsh;  // a burst ends here: let the peer's GRO flush
  fill_urgent(c, t.seq, h);
  const uint8_t ecn = h.syn() ? 0 : fill_ecn(c, t.seq, length, h);
  PacketPtr p = make_packet(c.tcp.pool, h, c.sk.tuple(), &t.packet(), {});
  if (p == nullptr) return ENOBUFS;
  set_gso(*p, c, t);
  trace_out(c, h, length);
  const uint32_t wire_bytes = p->length;
  if (h.has_ack()) on_ack_sent(c, h.ack);
  if (length != 0) on_data_sent(c, t.segs, length);
  if (after(t.end_seq, c.snd_nxt) || t.seq == t.end_seq) c.tcp.count(Mib::TcpOutSegs, t.segs);
  c.segs_out += t.segs;
  if (c.stamping != nullptr) stamp_sent(c, t);
  auto sent = c.tcp.ip.output(std::move(p), c.route, send_params(c, ecn, t.segs));
  if (!sent) {
    if (to_int(sent.error()) == ENOBUFS) enter_cwr(c);  // the interface's queue is full: congestion right here
    return to_int(sent.error());
  }
  if (keep) {
    update_after_send(c, t, prior_wstamp_ns, wire_bytes);
    rate_segment_sent(c, t);
  }
  return 0;
}

int transmit_control(Conn& c, Seq seq, uint8_t flags) {
  if (!refresh_route(c)) return EHOSTUNREACH;
  c.wstamp_ns = std::max(c.wstamp_ns, c.clock_cache_ns);
  wire::TcpHeader h = make_header(c, seq, flags, c.mstamp_us);
  fill_urgent(c, seq, h);
  const uint8_t ecn = h.syn() ? 0 : fill_ecn(c, seq, 0, h);
  PacketPtr p = make_packet(c.tcp.pool, h, c.sk.tuple(), nullptr, {});
  if (p == nullptr) return ENOBUFS;
  p->mark = c.sk.options->mark;
  p->priority = c.sk.options->priority;
  trace_out(c, h, 0);
  if (h.has_ack()) on_ack_sent(c, h.ack);
  c.tcp.count(Mib::TcpOutSegs);
  ++c.segs_out;
  auto sent = c.tcp.ip.output(std::move(p), c.route, send_params(c, ecn, 1));
  return sent ? 0 : to_int(sent.error());
}

namespace {

Result<void> send_bare_by(Tcp& tcp, const BareSegment& b, const ip::Route& route) {
  wire::TcpHeader h = b.header;
  h.src_port = b.tuple.local_port;
  h.dst_port = b.tuple.remote_port;
  PacketPtr p = make_packet(tcp.pool, h, b.tuple, nullptr, b.payload);
  if (p == nullptr) return err(ENOBUFS);
  p->mark = b.mark;
  ip::SendParams params;
  params.src = b.tuple.local;
  params.dst = b.tuple.remote;
  params.protocol = kProtocolTcp;
  params.tos = b.tos;
  params.ttl = b.ttl;
  params.dont_fragment = true;
  params.has_id = true;  // 0: what is never fragmented needs none (RFC 6864)
  tcp.count(Mib::TcpOutSegs);
  if (h.rst()) tcp.count(Mib::TcpOutRsts);
  return tcp.ip.output(std::move(p), route, params);
}

}  // namespace

Result<void> send_bare(Tcp& tcp, const BareSegment& b) {
  if (b.route == nullptr) {
    const auto route = tcp.ip.route(b.tuple.remote, b.tuple.local, b.ifindex, b.mark);
    return route ? send_bare_by(tcp, b, *route) : std::unexpected(route.error());
  }
  return send_bare_by(tcp, b, *b.route);
}

void send_reset_for(Tcp& tcp, const inet::FourTuple& tuple, const Segment& seg) {
  if (seg.header.rst()) return;
  BareSegment b;
  b.tuple = tuple;
  b.tos = static_cast<uint8_t>(seg.dsfield & 0xfc);
  b.header.flags = wire::kTcpRst;
  if (seg.header.has_ack()) {
    b.header.seq = seg.header.ack;
  } else {
    b.header.flags |= wire::kTcpAck;
    b.header.ack = seg.end_seq;
  }
  (void)send_bare(tcp, b);  // nobody is left to tell
}

}  // namespace leat::tcp
