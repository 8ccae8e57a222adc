// sendmsg: where to, which way, and the bytes. MSG_MORE and UDP_CORK gather one datagram out of several calls.
#include <sys/epoll.h>
#include <sys/socket.h>

#include <linux/errqueue.h>
#include <linux/in.h>

#include <cstring>

#include "udp/udp.h"
#include "wire/checksum.h"
#include "wire/protocol.h"
#include "wire/udp.h"

namespace leat::udp {
namespace {
constexpr size_t kMaxDatagram = 0xffff;

size_t total(std::span<const iovec> data) {
  size_t n = 0;
  for (const iovec& v : data)
    n = n + v.iov_len < n ? SIZE_MAX : n + v.iov_len;
  return n;
}
}  // namespace

struct Udp::Plan {
  ip::Route route;
  ip::SendParams params;
  uint16_t remote_port = 0;
};

Result<size_t> Udp::send(UdpSock& s, std::span<const iovec> data, int flags, const SendTo& to) {
  const size_t length = total(data);
  if (length > kMaxDatagram) return err(EMSGSIZE);
  if ((flags & MSG_OOB) != 0) return err(EOPNOTSUPP);
  Plan plan;
  PacketPtr packet;
  {
    Guard guard(s.lock);
    if ((s.shutdown & inet::kSendShutdown) != 0) return err(EPIPE);
    if (s.error != 0) return err(std::exchange(s.error, uint8_t{0}));
    if (s.pending == nullptr) {
      if (auto ok = plan_send(s, to, plan); !ok) return std::unexpected(ok.error());
    } else {
      plan = {s.pending_route, s.pending_params, s.pending_port};
    }
    if (auto ok = gather(s.pending, data, length); !ok) return std::unexpected(ok.error());
    if (s.is_corked || (flags & MSG_MORE) != 0) {
      s.pending_route = plan.route;
      s.pending_params = plan.params;
      s.pending_port = plan.remote_port;
      return length;
    }
    packet = std::move(s.pending);
  }
  if (auto ok = transmit(s, std::move(packet), plan); !ok) return std::unexpected(ok.error());
  return length;
}

Result<size_t> Udp::uncork(UdpSock& s) {
  Plan plan;
  PacketPtr packet;
  {
    Guard guard(s.lock);
    if (s.pending == nullptr) return size_t{0};
    plan = {s.pending_route, s.pending_params, s.pending_port};
    packet = std::move(s.pending);
  }
  const size_t length = packet->length;
  if (auto ok = transmit(s, std::move(packet), plan); !ok) return std::unexpected(ok.error());
  return length;
}

Result<void> Udp::plan_send(UdpSock& s, const SendTo& to, Plan& plan) {
  if (!to.has_address && !s.is_connected()) return err(EDESTADDRREQ);
  plan.params.dst = to.has_address ? to.address.from_v4_mapped() : s.remote();
  plan.remote_port = to.has_address ? to.port : s.remote_port.load();
  if (plan.remote_port == 0) return err(EINVAL);
  IpAddress& dst = plan.params.dst;
  if (s.family == Family::kIpv6 && dst.is_v4() && s.v6only) return err(ENETUNREACH);
  if (dst.is_any()) dst = dst.is_v4() ? IpAddress::from_v4(0x7f000001) : *IpAddress::parse("::1");
  if (auto ok = autobind(s); !ok) return err(EAGAIN);
  if (auto ok = select_route(s, to, plan); !ok) return ok;
  select_params(s, to, plan);
  return {};
}

Result<void> Udp::select_route(UdpSock& s, const SendTo& to, Plan& plan) {
  const IpAddress& dst = plan.params.dst;
  IpAddress source = to.source.family() != Family::kNone ? to.source.from_v4_mapped() : s.local();
  if (source.is_any() || source.is_multicast()) source = IpAddress::any(dst.family());
  if (source.family() != dst.family()) return err(dst.is_v4() ? ENETUNREACH : EINVAL);
  const uint16_t device = to.ifindex != 0 ? to.ifindex : s.bound_ifindex.load();
  if (to.ifindex != 0 && s.bound_ifindex != 0 && to.ifindex != s.bound_ifindex) return err(EINVAL);
  auto route = ip_.route(dst, source, device, s.options->mark);
  if (!route) {
    if (route.error() == Errno{ENETUNREACH}) ns_.count(dst.is_v4() ? Mib::IpOutNoRoutes : Mib::Ip6OutNoRoutes);
    return std::unexpected(route.error());
  }
  if (route->is_broadcast && !s.options->broadcast) return err(EACCES);
  plan.params.src = source.is_any() ? route->source : source;
  plan.route = *route;
  return {};
}

void Udp::select_params(const UdpSock& s, const SendTo& to, Plan& plan) const {
  const inet::SockOptions& o = *s.options;
  plan.params.protocol = wire::kProtocolUdp;
  plan.params.tos = to.tos >= 0 ? static_cast<uint8_t>(to.tos) : o.tos;
  plan.params.ttl = to.ttl >= 0 ? static_cast<uint8_t>(to.ttl) : o.ttl;
  if (plan.params.dst.is_multicast() && plan.params.ttl == 0) plan.params.ttl = 1;
  plan.params.ignore_pmtu = o.pmtu_discover >= IP_PMTUDISC_PROBE;
}

// Appends to the datagram, in one linear piece.
Result<void> Udp::gather(PacketPtr& packet, std::span<const iovec> data, size_t length) {
  const uint32_t before = packet == nullptr ? 0 : packet->length;
  if (before + length > kMaxDatagram) return err(EMSGSIZE);
  if (packet == nullptr || packet->tailroom() < length) {
    PacketPtr larger = pool_.make(static_cast<uint32_t>(before + length) * (before == 0 ? 1 : 2));
    if (larger == nullptr) return err(ENOBUFS);
    if (before != 0) packet->copy_out(0, larger->put(before), before);
    packet = std::move(larger);
  }
  for (const iovec& v : data) {
    if (v.iov_len != 0) std::memcpy(packet->put(static_cast<uint32_t>(v.iov_len)), v.iov_base, v.iov_len);
  }
  return {};
}

// A datagram above the path MTU is fragmented by ip, unless IP_MTU_DISCOVER forbids it; one below it carries DF.
Result<void> Udp::transmit(UdpSock& s, PacketPtr&& packet, Plan& plan) {
  const bool v6 = plan.params.dst.is_v6();
  uint8_t discover = 0;
  bool whole = false;
  Stamp stamp;
  {
    Guard guard(s.lock);
    stamp.flags = s.options->timestamping & inet::kStampTx;
    if (stamp.flags != 0 && (s.options->timestamping & inet::kStampOptId) != 0) stamp.key = s.stamp_key++;
    discover = s.options->pmtu_discover;
    whole = v6 && s.options->dont_fragment6;
    packet->mark = s.options->mark;
    packet->priority = s.options->priority;
  }
  const uint32_t length = packet->length + wire::kUdpHeaderBytes;
  if (length + (v6 ? 0 : 20) > kMaxDatagram) return err(EMSGSIZE);
  wire::UdpHeader h{s.local_port, plan.remote_port, static_cast<uint16_t>(length), 0};
  wire::emit_udp(h, {packet->push(wire::kUdpHeaderBytes), wire::kUdpHeaderBytes});
  packet->set_transport_header();
  const uint64_t pseudo = wire::pseudo_header_sum(plan.params.src, plan.params.dst, wire::kProtocolUdp, length);
  const uint32_t mtu = plan.params.ignore_pmtu ? plan.route.mtu : ip_.path_mtu(plan.params.dst, plan.route);
  const bool fits = length + (v6 ? 40 : 20) <= mtu;
  if (fits) {
    store_be16(packet->data + 6, static_cast<uint16_t>(~wire::checksum_fold(pseudo)));
    packet->checksum = Checksum::kPartial;
    packet->csum_start = packet->transport_offset;
    packet->csum_offset = 6;
  } else {
    const uint16_t sum = wire::checksum_fold(wire::checksum_packet(pseudo, *packet, 0));
    store_be16(packet->data + 6, wire::udp_checksum_on_wire(sum));
  }
  const bool must_fit = whole || discover == IP_PMTUDISC_DO || discover == IP_PMTUDISC_PROBE;
  const bool wants_df = must_fit || (discover == IP_PMTUDISC_WANT && !plan.route.mtu_locked);
  plan.params.dont_fragment = must_fit || (!v6 && fits && wants_df);
  const auto sent = ip_.output(std::move(packet), plan.route, plan.params);
  if (sent) {
    count(Mib::UdpOutDatagrams, v6);
    if (stamp.flags != 0) report_stamps(s, stamp);
    return {};
  }
  if (sent.error() == Errno{EMSGSIZE}) report_too_big(s, plan);
  if (sent.error() == Errno{ENOBUFS}) count(Mib::UdpSndbufErrors, v6);
  return sent;
}

// SO_TIMESTAMPING: it has been handed to the interface, and so to the link.
void Udp::report_stamps(UdpSock& s, const Stamp& stamp) {
  Guard guard(s.lock);
  if (s.events == nullptr) return;
  Datagram d;
  d.error = ENOMSG;
  d.origin = SO_EE_ORIGIN_TIMESTAMPING;
  d.error_data = stamp.key;
  for (const uint32_t kind : {uint32_t{SCM_TSTAMP_SCHED}, uint32_t{SCM_TSTAMP_SND}}) {
    if ((stamp.flags & (kind == SCM_TSTAMP_SCHED ? inet::kStampTxSched : inet::kStampTxSoftware)) == 0) continue;
    d.error_info = kind;
    queue_error(s, d, {});
  }
  if (!s.error_queue.is_empty()) s.events->on_events(EPOLLERR);
}

// With IP_RECVERR, the path MTU that was exceeded is told by the error queue as well (ip(7)).
void Udp::report_too_big(UdpSock& s, const Plan& plan) {
  Guard guard(s.lock);
  if (!s.options->recv_error || s.events == nullptr) return;
  Datagram d;
  d.info.src = plan.params.src;
  d.info.dst = plan.params.dst;
  d.port = plan.remote_port;
  d.error = EMSGSIZE;
  d.origin = SO_EE_ORIGIN_LOCAL;
  d.error_info = ip_.path_mtu(plan.params.dst, plan.route);
  queue_error(s, d, {});
  s.events->on_events(EPOLLERR);
}

}  // namespace leat::udp
