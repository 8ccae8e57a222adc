// See script_link.h.
#include "sim/drill/script_link.h"

#include "link/link.h"
#include "pkt/packet.h"
#include "wire/ip_address.h"

namespace leat::drill {
namespace {

// Offset of the TCP payload in an IP packet without extension headers; 0: not TCP.
size_t payload_offset(const Packet& p) {
  const uint8_t* b = p.data;
  const size_t n = p.linear_length();
  if (n < 40) return 0;
  const size_t ip = (b[0] >> 4) == 4 ? static_cast<size_t>(b[0] & 15) * 4 : 40;
  const uint8_t protocol = (b[0] >> 4) == 4 ? b[9] : b[6];
  if (protocol != 6 || n < ip + 20) return 0;
  return ip + static_cast<size_t>(b[ip + 12] >> 4) * 4;
}

}  // namespace

ScriptLink::ScriptLink(uint32_t mtu, uint16_t rx_gso_size) : rx_gso_size_(rx_gso_size) {
  features_.mtu = mtu;
  features_.verifies_checksums = true;
}

void ScriptLink::mark_burst(Packet& p) const {
  const size_t offset = payload_offset(p);
  if (rx_gso_size_ == 0 || offset == 0 || p.length <= offset + rx_gso_size_) return;
  p.gso_size = rx_gso_size_;
  p.gso_segs = static_cast<uint16_t>((p.length - offset + rx_gso_size_ - 1) / rx_gso_size_);
}

size_t ScriptLink::receive_batch(std::span<Packet*> out, PacketPool& pool, Time now) {
  size_t n = 0;
  while (n < out.size() && !inbound_.empty()) {
    PacketPtr p = pool.make_copy(ByteView(inbound_.front().data(), inbound_.front().size()));
    inbound_.pop_front();
    if (p == nullptr) continue;
    p->received = now;
    p->checksum = Checksum::kVerified;  // packetdrill makes them right
    mark_burst(*p);
    out[n++] = p.release();
  }
  return n;
}

void ScriptLink::transmit_batch(std::span<Packet*> packets, Time now) {
  for (Packet* raw : packets) {
    PacketPtr p(raw);
    Sent s;
    s.bytes.resize(p->length);
    p->copy_out(0, s.bytes.data(), p->length);
    s.at = now;
    sent_.push_back(std::move(s));
  }
}

Time ScriptLink::next_event() const {
  return inbound_.empty() ? Time::never() : Time{};
}

bool ScriptLink::take_sent(Sent& out) {
  if (sent_.empty()) return false;
  out = std::move(sent_.front());
  sent_.pop_front();
  return true;
}

}  // namespace leat::drill
