// The wire of a script: what the script injects is received, what the stack sends waits for the script.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "leat/link.h"
#include "leat/time.h"

namespace leat::drill {

class ScriptLink final : public Link {
 public:
  // rx_gso_size: a longer inbound TCP payload stands for a burst of such segments; 0: never.
  ScriptLink(uint32_t mtu, uint16_t rx_gso_size);

  void inject(const uint8_t* packet, size_t size) { inbound_.emplace_back(packet, packet + size); }
  struct Sent {
    std::vector<uint8_t> bytes;
    Time at;
  };
  bool take_sent(Sent& out);
  bool has_sent() const { return !sent_.empty(); }

  const LinkFeatures& features() const override { return features_; }
  size_t receive_batch(std::span<Packet*> out, PacketPool& pool, Time now) override;
  void transmit_batch(std::span<Packet*> packets, Time now) override;
  Time next_event() const override;

 private:
  void mark_burst(Packet& p) const;
  LinkFeatures features_;
  uint16_t rx_gso_size_;
  std::deque<std::vector<uint8_t>> inbound_;
  std::deque<Sent> sent_;
};

}  // namespace leat::drill
