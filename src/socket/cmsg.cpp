#include "socket/cmsg.h"

#include <netinet/in.h>
#include <sys/time.h>

#include <linux/errqueue.h>

#include <algorithm>
#include <cstring>

#include "socket/address.h"

namespace leat::socket {
namespace {

constexpr int kOrigDst = 20, kOrigDst6 = 74;  // IP_ORIGDSTADDR, IPV6_ORIGDSTADDR: not in every libc's headers

template <class T>
bool read_value(const cmsghdr& c, T& out) {
  if (c.cmsg_len != CMSG_LEN(sizeof out)) return false;
  std::memcpy(&out, CMSG_DATA(&c), sizeof out);
  return true;
}

Result<void> parse_pktinfo4(const cmsghdr& c, udp::SendTo& to) {
  in_pktinfo info{};
  if (!read_value(c, info)) return err(EINVAL);
  if (info.ipi_ifindex != 0) to.ifindex = static_cast<uint16_t>(info.ipi_ifindex);
  if (info.ipi_spec_dst.s_addr != 0) to.source = IpAddress::from_v4(ntohl(info.ipi_spec_dst.s_addr));
  return {};
}

Result<void> parse_pktinfo6(const cmsghdr& c, udp::SendTo& to) {
  in6_pktinfo info{};
  if (!read_value(c, info)) return err(EINVAL);
  if (info.ipi6_ifindex != 0) to.ifindex = static_cast<uint16_t>(info.ipi6_ifindex);
  const IpAddress source = IpAddress::from_v6_bytes(info.ipi6_addr.s6_addr);
  if (!source.is_any()) to.source = source;
  return {};
}

Result<void> parse_ip(const cmsghdr& c, udp::SendTo& to) {
  int value = 0;
  switch (c.cmsg_type) {
    case IP_PKTINFO:
      return parse_pktinfo4(c, to);
    case IP_TTL:
      if (!read_value(c, value) || value < 1 || value > 255) return err(EINVAL);
      to.ttl = value;
      return {};
    case IP_TOS:
      if (c.cmsg_len == CMSG_LEN(1)) {
        value = *CMSG_DATA(&c);
      } else if (!read_value(c, value)) {
        return err(EINVAL);
      }
      if (value < 0 || value > 255) return err(EINVAL);
      to.tos = value;
      return {};
    default:
      return err(EINVAL);
  }
}

Result<void> parse_ipv6(const cmsghdr& c, udp::SendTo& to) {
  int value = 0;
  switch (c.cmsg_type) {
    case IPV6_PKTINFO:
      return parse_pktinfo6(c, to);
    case IPV6_HOPLIMIT:
    case IPV6_TCLASS:
      if (!read_value(c, value) || value < -1 || value > 255) return err(EINVAL);
      (c.cmsg_type == IPV6_TCLASS ? to.tos : to.ttl) = value;
      return {};
    default:
      return err(EINVAL);
  }
}

// Calls f(const cmsghdr&) for each; EINVAL when one claims more than there is.
template <class F>
Result<void> for_each_control(const msghdr& m, F&& f) {
  const auto* base = static_cast<const uint8_t*>(m.msg_control);
  size_t at = 0;
  while (base != nullptr && m.msg_controllen - at >= sizeof(cmsghdr)) {
    const auto* c = reinterpret_cast<const cmsghdr*>(base + at);
    if (c->cmsg_len < sizeof(cmsghdr) || c->cmsg_len > m.msg_controllen - at) return err(EINVAL);
    if (Result<void> ok = f(*c); !ok) return ok;
    const size_t step = CMSG_ALIGN(c->cmsg_len);
    if (step > m.msg_controllen - at) break;
    at += step;
  }
  return {};
}

}  // namespace

Result<void> parse_datagram_control(const msghdr& m, const inet::Sock& s, udp::SendTo& to) {
  return for_each_control(m, [&](const cmsghdr& c) -> Result<void> {
    if (c.cmsg_level == SOL_SOCKET) return err(EINVAL);
    if (c.cmsg_level == IPPROTO_IP && s.family == Family::kIpv4) return parse_ip(c, to);
    if (c.cmsg_level == IPPROTO_IPV6 && s.family == Family::kIpv6) return parse_ipv6(c, to);
    if (c.cmsg_level == IPPROTO_IP && c.cmsg_type == IP_PKTINFO && s.family == Family::kIpv6) return parse_ip(c, to);
    return c.cmsg_level == IPPROTO_UDP ? Result<void>(err(EINVAL)) : Result<void>();
  });
}

Result<void> check_stream_control(const msghdr& m) {
  return for_each_control(m, [](const cmsghdr& c) -> Result<void> {
    return c.cmsg_level == SOL_SOCKET ? Result<void>(err(EINVAL)) : Result<void>();
  });
}

ControlWriter::ControlWriter(msghdr& m)
    : message_(m), at_(static_cast<uint8_t*>(m.msg_control)), left_(m.msg_control == nullptr ? 0 : m.msg_controllen) {}

void ControlWriter::put(int level, int type, const void* data, size_t size) {
  if (left_ < sizeof(cmsghdr)) {
    flags_ |= MSG_CTRUNC;
    return;
  }
  const size_t whole = CMSG_LEN(size);
  if (left_ < whole) flags_ |= MSG_CTRUNC;
  cmsghdr header{};
  header.cmsg_level = level;
  header.cmsg_type = type;
  header.cmsg_len = std::min(whole, left_);
  std::memcpy(at_, &header, sizeof header);
  std::memcpy(at_ + CMSG_LEN(0), data, header.cmsg_len - CMSG_LEN(0));
  const size_t step = std::min<size_t>(CMSG_SPACE(size), left_);
  at_ += step;
  left_ -= step;
}

int ControlWriter::finish() {
  message_.msg_controllen =
      message_.msg_control == nullptr ? 0 : static_cast<size_t>(at_ - static_cast<uint8_t*>(message_.msg_control));
  return flags_;
}

namespace {

void put_ipv4_control(ControlWriter& out, const inet::Sock& s, uint32_t flags, const ip::PacketInfo& info) {
  if ((flags & kRecvPktinfo) != 0) {
    in_pktinfo p{};
    p.ipi_ifindex = info.ifindex;
    p.ipi_addr.s_addr = htonl(info.dst.v4());
    p.ipi_spec_dst.s_addr = info.is_broadcast_or_multicast ? 0 : p.ipi_addr.s_addr;
    out.put_value(IPPROTO_IP, IP_PKTINFO, p);
  }
  if ((flags & kRecvTtl) != 0) out.put_value(IPPROTO_IP, IP_TTL, int{info.ttl});
  if ((flags & kRecvTos) != 0) out.put_value(IPPROTO_IP, IP_TOS, info.tos);
  if ((flags & kRecvOrigDst) != 0) {
    sockaddr_storage a{};
    const socklen_t n = make_sockaddr({info.dst, s.local_port, 0, false}, Family::kIpv4, a);
    out.put(IPPROTO_IP, kOrigDst, &a, n);
  }
}

void put_ipv6_control(ControlWriter& out, const inet::Sock& s, uint32_t flags, const ip::PacketInfo& info) {
  if ((flags & kRecvPktinfo6) != 0) {
    in6_pktinfo p{};
    p.ipi6_ifindex = info.ifindex;
    std::memcpy(p.ipi6_addr.s6_addr, info.dst.is_v4() ? info.dst.to_v4_mapped().bytes() : info.dst.bytes(), 16);
    out.put_value(IPPROTO_IPV6, IPV6_PKTINFO, p);
  }
  if (info.dst.is_v4()) return;
  if ((flags & kRecvHopLimit) != 0) out.put_value(IPPROTO_IPV6, IPV6_HOPLIMIT, int{info.ttl});
  if ((flags & kRecvTclass) != 0) out.put_value(IPPROTO_IPV6, IPV6_TCLASS, int{info.tos});
  if ((flags & kRecvOrigDst6) != 0) {
    sockaddr_storage a{};
    const socklen_t n = make_sockaddr({info.dst, s.local_port, 0, false}, Family::kIpv6, a);
    out.put(IPPROTO_IPV6, kOrigDst6, &a, n);
  }
}

}  // namespace

void put_datagram_control(ControlWriter& out, const inet::Sock& s, uint32_t flags, const udp::Received& what) {
  const ip::PacketInfo& info = what.datagram.info;
  if (s.family == Family::kIpv6) put_ipv6_control(out, s, flags, info);
  if (info.dst.is_v4()) put_ipv4_control(out, s, flags, info);
}

namespace {

struct ExtendedError {
  sock_extended_err ee{};
  sockaddr_in6 offender{};  // zero: nobody
};

void put_extended_error(ControlWriter& out, const inet::Sock& s, const ExtendedError& e) {
  const bool v6 = s.family == Family::kIpv6;
  const size_t size = sizeof e.ee + (v6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in));
  out.put(v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVERR : IP_RECVERR, &e, size);
}

timespec wall_time(Time at, Duration epoch) {
  const int64_t ns = (at + epoch).ns();
  return {ns / 1'000'000'000, ns % 1'000'000'000};
}

}  // namespace

void put_stamp_control(ControlWriter& out, const inet::SockOptions& o, Time at, Duration epoch, bool is_error) {
  const timespec t = wall_time(at, epoch);
  if (o.receive_stamp == inet::StampUnit::kNanoseconds) {
    out.put_value(SOL_SOCKET, o.stamps_are_new ? kTimestampnsNew : SO_TIMESTAMPNS, t);
  } else if (o.receive_stamp == inet::StampUnit::kMicroseconds) {
    out.put_value(SOL_SOCKET, o.stamps_are_new ? kTimestampNew : SO_TIMESTAMP, timeval{t.tv_sec, t.tv_nsec / 1000});
  }
  const bool is_wanted =
      is_error || (o.timestamping & inet::kStampRxSoftware) != 0 || (o.timestamping & inet::kStampOptRxFilter) == 0;
  if ((o.timestamping & inet::kStampSoftware) == 0 || !is_wanted) return;
  const timespec stamps[3] = {t, {}, {}};  // software, unused, hardware
  out.put_value(SOL_SOCKET, o.stamps_are_new ? kTimestampingNew : SO_TIMESTAMPING, stamps);
}

void put_stamp_kind_control(ControlWriter& out, const inet::Sock& s, uint32_t kind, uint32_t key) {
  ExtendedError block;
  block.ee.ee_errno = ENOMSG;
  block.ee.ee_origin = SO_EE_ORIGIN_TIMESTAMPING;
  block.ee.ee_info = kind;
  block.ee.ee_data = key;
  put_extended_error(out, s, block);
}

void put_zerocopy_control(ControlWriter& out, const inet::Sock& s, uint32_t first, uint32_t last) {
  ExtendedError block;
  block.ee.ee_origin = SO_EE_ORIGIN_ZEROCOPY;
  block.ee.ee_code = SO_EE_CODE_ZEROCOPY_COPIED;
  block.ee.ee_info = first;
  block.ee.ee_data = last;
  put_extended_error(out, s, block);
}

void put_error_control(ControlWriter& out, const inet::Sock& s, const udp::Datagram& d) {
  ExtendedError block;
  block.ee.ee_errno = d.error;
  block.ee.ee_origin = d.origin;
  block.ee.ee_type = d.type;
  block.ee.ee_code = d.code;
  block.ee.ee_info = d.error_info;
  block.ee.ee_data = d.error_data;
  if (d.origin != SO_EE_ORIGIN_LOCAL && !d.is_stamp()) {
    sockaddr_storage a{};
    const socklen_t n = make_sockaddr({d.offender, 0, 0, false}, s.family, a);
    std::memcpy(&block.offender, &a, n);
  }
  put_extended_error(out, s, block);
}

}  // namespace leat::socket
