// What both families do with the outcome of a reassembly: counters, drop reasons, and the message to the sender when
// the time is up (RFC 1122 §3.3.2, RFC 8200 §4.5).
#include "ip/impl.h"

namespace leat::ip {

const IpMibs& ip_mibs(Family f) {
  static constexpr IpMibs kV4{
      Mib::IpOutRequests, Mib::IpOutTransmits, Mib::IpExtOutOctets, Mib::IpExtOutMcastPkts, Mib::IpExtOutMcastOctets,
      Mib::IpOutDiscards, Mib::IpFragOKs,      Mib::IpFragFails,    Mib::IpFragCreates,     Mib::IpReasmReqds,
      Mib::IpReasmOKs,    Mib::IpReasmFails,   Mib::IpReasmTimeout};
  static constexpr IpMibs kV6{Mib::Ip6OutRequests,    Mib::Ip6OutTransmits, Mib::Ip6OutOctets, Mib::Ip6OutMcastPkts,
                              Mib::Ip6OutMcastOctets, Mib::Ip6OutDiscards,  Mib::Ip6FragOKs,   Mib::Ip6FragFails,
                              Mib::Ip6FragCreates,    Mib::Ip6ReasmReqds,   Mib::Ip6ReasmOKs,  Mib::Ip6ReasmFails,
                              Mib::Ip6ReasmTimeout};
  return f == Family::kIpv4 ? kV4 : kV6;
}

bool Ip::Impl::note_reassembly(const Reassembly::Result& r, Family f) {
  using Outcome = Reassembly::Outcome;
  const IpMibs& mibs = ip_mibs(f);
  count(mibs.reasm_reqds);
  if (r.restarted) {
    count(mibs.reasm_fails);
    ns.drop(DropReason::kFragTooFar);
  }
  switch (r.outcome) {
    case Outcome::kQueued:
      return false;
    case Outcome::kComplete:
      count(mibs.reasm_oks);
      return true;
    case Outcome::kDuplicate:
      ns.drop(DropReason::kDupFrag);
      return false;
    case Outcome::kOverlap:
      count(Mib::IpExtReasmOverlaps);
      count(mibs.reasm_fails);
      ns.drop(DropReason::kDupFrag);
      return false;
    case Outcome::kTooBig:
      count(mibs.reasm_fails);
      ns.drop(DropReason::kPktTooBig);
      return false;
    case Outcome::kNoMemory:
      count(mibs.reasm_fails);
      ns.drop(DropReason::kNoMem);
      return false;
    case Outcome::kInvalid:
    case Outcome::kBadEcn:
      count(mibs.reasm_fails);
      ns.drop(DropReason::kIpInhdr);
      return false;
  }
  return false;
}

void Ip::Impl::expire_reassembly(Time t) {
  for (Reassembly* table : {&reassembly4, &reassembly6}) {
    Reassembly::Expired e;
    while (table->expire(t, e)) {
      const IpMibs& mibs = ip_mibs(e.key.src.family());
      count(mibs.reasm_fails);
      count(mibs.reasm_timeout);
      ns.drop(DropReason::kFragReasmTimeout);
      if (e.first != nullptr) {
        e.first->set_network_header();
        if (e.key.src.is_v4()) {
          send_icmp4_error(*e.first, wire::kIcmp4TimeExceeded, wire::kIcmpReassemblyTimeExceeded, 0, false);
        } else {
          send_icmp6_error(*e.first, wire::kIcmp6TimeExceeded, wire::kIcmpReassemblyTimeExceeded, 0, false);
        }
      }
      e = {};
    }
  }
}

// Received bytes may be shared (a peer in memory keeps what it may have to send again).
bool Ip::Impl::own_header(PacketPtr& packet, uint32_t header_bytes) {
  if (packet->buffer->refs.load(std::memory_order_acquire) == 1) return true;
  PacketPtr copy = pool.clone(*packet, header_bytes);
  if (copy == nullptr) return false;
  copy->set_network_header();
  packet = std::move(copy);
  return true;
}

}  // namespace leat::ip
