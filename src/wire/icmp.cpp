#include "wire/icmp.h"

#include "base/check.h"
#include "wire/checksum.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"

namespace leat::wire {
namespace {
constexpr size_t kLeastQuotedTransport = 8;
}

std::optional<IcmpHeader> parse_icmp(ByteView message) {
  if (message.size() < kIcmpHeaderBytes) return std::nullopt;
  return IcmpHeader{message[0], message[1], load_be32(message.data() + 4)};
}

uint32_t emit_icmp(const IcmpHeader& h, MutableBytes out) {
  LEAT_CHECK(out.size() >= kIcmpHeaderBytes);
  out[0] = h.type;
  out[1] = h.code;
  store_be16(out.data() + 2, 0);
  store_be32(out.data() + 4, h.word);
  return kIcmpHeaderBytes;
}

void finish_icmp4(MutableBytes message) {
  LEAT_CHECK(message.size() >= 4);
  store_be16(message.data() + 2, 0);
  store_be16(message.data() + 2, checksum_fold(checksum_add(0, message)));
}

void finish_icmp6(const IpAddress& src, const IpAddress& dst, MutableBytes message) {
  LEAT_CHECK(message.size() >= 4);
  store_be16(message.data() + 2, 0);
  const uint64_t pseudo = pseudo_header_sum(src, dst, kProtocolIcmpv6, static_cast<uint32_t>(message.size()));
  store_be16(message.data() + 2, checksum_fold(checksum_add(pseudo, message)));
}

std::optional<IcmpQuote> parse_icmp4_quote(ByteView message) {
  if (message.size() < kIcmpHeaderBytes) return std::nullopt;
  const ByteView packet = message.subspan(kIcmpHeaderBytes);
  const std::optional<Ipv4Header> h = parse_ipv4(packet);
  if (!h || h->fragment_offset != 0) return std::nullopt;
  const ByteView transport = packet.subspan(h->header_length);
  if (transport.size() < kLeastQuotedTransport) return std::nullopt;
  return IcmpQuote{h->src, h->dst, h->protocol, h->tos, h->ttl, 0, h->total_length, transport};
}

std::optional<IcmpQuote> parse_icmp6_quote(ByteView message) {
  if (message.size() < kIcmpHeaderBytes) return std::nullopt;
  const ByteView packet = message.subspan(kIcmpHeaderBytes);
  const std::optional<Ipv6Header> h = parse_ipv6(packet);
  if (!h) return std::nullopt;
  const std::optional<Ipv6Upper> upper = skip_ipv6_extensions(packet, h->next_header, kIpv6HeaderBytes);
  if (!upper || upper->protocol == kIpv6FragmentHeader) return std::nullopt;
  if (packet.size() < upper->offset + kLeastQuotedTransport) return std::nullopt;
  return IcmpQuote{h->src,
                   h->dst,
                   upper->protocol,
                   h->traffic_class,
                   h->hop_limit,
                   h->flow_label,
                   kIpv6HeaderBytes + h->payload_length,
                   packet.subspan(upper->offset)};
}

}  // namespace leat::wire
