// A datagram arrives (RFC 768), or an ICMP error about one that was sent (RFC 1122 §4.1.3.3).
#include <sys/epoll.h>
#include <sys/socket.h>

#include <linux/errqueue.h>

#include "udp/udp.h"
#include "wire/checksum.h"
#include "wire/icmp.h"
#include "wire/protocol.h"
#include "wire/udp.h"

namespace leat::udp {

void Udp::drop(DropReason r, Mib m, bool v6) {
  ns_.drop(r);
  count(m, v6);
}

void Udp::on_packet(PacketPtr&& packet, const ip::PacketInfo& info) {
  const bool v6 = info.dst.is_v6();
  const auto header = packet->pull_linear(wire::kUdpHeaderBytes) ? wire::parse_udp(packet->linear()) : std::nullopt;
  const auto length = header ? wire::udp_datagram_length(*header, packet->length, info.dst.family()) : std::nullopt;
  if (!length) return drop(DropReason::kPktTooSmall, Mib::UdpInErrors, v6);
  packet->trim(*length);
  if (!check_checksum(*packet, info, header->checksum)) {
    count(Mib::UdpInCsumErrors, v6);
    return drop(DropReason::kUdpCsum, Mib::UdpInErrors, v6);
  }
  const inet::FourTuple t{info.dst, info.src, header->dst_port, header->src_port};
  if (info.is_broadcast_or_multicast) return deliver_all(std::move(packet), info, t);
  UdpSock* s = tables_.lookup(t, info.ifindex);
  if (s == nullptr) {
    drop(DropReason::kNoSocket, Mib::UdpNoPorts, v6);
    ip_.send_port_unreachable(*packet, info);
    return;
  }
  packet->pull(wire::kUdpHeaderBytes);
  deliver(*s, std::move(packet), info, t.remote_port);
  release(*s);
}

// Over IPv4 a zero says that there is none; over IPv6 there has to be one (RFC 8200 §8.1).
bool Udp::check_checksum(const Packet& p, const ip::PacketInfo& info, uint16_t field) const {
  if (p.checksum != Checksum::kNone) return true;
  if (field == 0) return info.dst.is_v4();
  const uint64_t sum = wire::pseudo_header_sum(info.src, info.dst, wire::kProtocolUdp, p.length);
  return wire::checksum_fold(wire::checksum_packet(sum, p, 0)) == 0;
}

void Udp::deliver_all(PacketPtr&& packet, const ip::PacketInfo& info, const inet::FourTuple& t) {
  const std::vector<UdpSock*> socks = tables_.lookup_all(t, info.ifindex);
  if (socks.empty()) return drop(DropReason::kNoSocket, Mib::UdpIgnoredMulti, info.dst.is_v6());
  packet->pull(wire::kUdpHeaderBytes);
  for (size_t i = 0; i < socks.size(); ++i) {
    PacketPtr copy = i + 1 == socks.size() ? std::move(packet) : pool_.clone(*packet, 0);
    if (copy == nullptr) {
      drop(DropReason::kNoMem, Mib::UdpRcvbufErrors, info.dst.is_v6());
      count(Mib::UdpInErrors, info.dst.is_v6());
    } else {
      deliver(*socks[i], std::move(copy), info, t.remote_port);
    }
    release(*socks[i]);
  }
}

// A datagram that is alone in the queue is taken whatever its size (Linux's __udp_enqueue_schedule_skb).
void Udp::deliver(UdpSock& s, PacketPtr&& packet, const ip::PacketInfo& info, uint16_t source_port) {
  Guard guard(s.lock);
  if (s.events == nullptr) return ns_.drop(DropReason::kSocketClose);
  if (info.ttl < s.options->min_ttl) return ns_.drop(DropReason::kTcpMinTtl);
  const uint32_t charge = packet->truesize;
  if (s.rmem != 0 && uint64_t{s.rmem} + charge > static_cast<uint64_t>(s.rcvbuf)) {
    ++s.drops;
    count(Mib::UdpRcvbufErrors, info.dst.is_v6());
    return drop(DropReason::kSocketRcvbuff, Mib::UdpInErrors, info.dst.is_v6());
  }
  Datagram d;
  d.info = info;
  d.port = source_port;
  datagram_of(*packet) = d;
  s.rmem += charge;
  s.receive_queue.push_back(std::move(packet));
  s.events->on_events(EPOLLIN | EPOLLRDNORM | EPOLLRDBAND);
}

void Udp::on_icmp_error(const ip::IcmpError& e) {
  const auto header = wire::parse_udp(e.quoted);
  if (!header) return;
  const inet::FourTuple t{e.about.src, e.about.dst, header->src_port, header->dst_port};
  UdpSock* s = tables_.lookup(t, e.about.ifindex);
  if (s == nullptr) return ns_.count(t.local.is_v4() ? Mib::IcmpInErrors : Mib::Icmp6InErrors);
  {
    Guard guard(s->lock);
    const bool too_big = e.error == EMSGSIZE;
    const bool is_hard = e.is_fatal || (too_big && s->options->pmtu_discover != 0);
    const bool wants_all = s->options->recv_error;
    if (s->events != nullptr && (wants_all || (is_hard && s->is_connected()))) {
      if (wants_all) {
        Datagram d;
        d.info = e.about;
        d.port = t.remote_port;
        d.error = static_cast<uint32_t>(e.error);
        d.origin = t.local.is_v4() ? SO_EE_ORIGIN_ICMP : SO_EE_ORIGIN_ICMP6;
        d.type = e.type;
        d.code = e.code;
        d.error_info = e.mtu;
        d.offender = e.reporter;
        queue_error(*s, d, e.quoted.subspan(wire::kUdpHeaderBytes));
      }
      s->error = static_cast<uint8_t>(e.error);
      s->events->on_events(EPOLLERR);
    }
  }
  release(*s);
}

// The bytes are what is left of the datagram that caused it. Charged to the receive buffer; too many are dropped.
void Udp::queue_error(UdpSock& s, const Datagram& d, ByteView quoted) {
  PacketPtr p = pool_.make_copy(quoted, 0);
  if (p == nullptr || s.rmem + p->truesize >= static_cast<uint32_t>(s.rcvbuf)) return;
  datagram_of(*p) = d;
  p->received = ns_.now();
  s.rmem += p->truesize;
  s.error_queue.push_back(std::move(p));
}

}  // namespace leat::udp
