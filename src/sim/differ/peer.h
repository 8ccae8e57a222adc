// The model peer: a small TCP of the differ's own that answers what the stack under test sends as its case says. It
// has no clock: packets come with their time, and what it wants to send waits in a queue with its time.
#pragma once

#include <map>
#include <vector>

#include "leat/time.h"
#include "sim/differ/case.h"
#include "sim/differ/segment.h"

namespace leat::differ {

class Peer {
 public:
  explicit Peer(const Case& c) : case_(c) {}
  void begin(Time now);                                // a passive case: its SYN
  void on_sent(Time at, const Segment& s);             // the stack sent this
  Time next() const;                                   // when it will do something
  std::vector<Segment> take_due(Time now);             // what arrives at the stack now
  bool is_connected() const { return is_connected_; }  // as far as the peer's packets that have arrived say
  Time connected_at() const { return connected_at_; }

 private:
  struct Event {
    enum Kind : uint8_t { kDelivery, kInjection, kDelayedAck, kSend } kind;
    Segment segment;
    size_t index = 0;  // kSend
    bool is_ce = false;
    bool connects = false;
  };
  void schedule(Time at, Event e) { events_.emplace(at, std::move(e)); }
  void run(Time at, Event& e, std::vector<Segment>& out);
  void connect(Time at);
  void deliver(Time at, const Segment& s, bool is_ce);
  void answer_syn(Time at, const Segment& s);
  void take_data(Time at, const Segment& s);
  void note_duplicate(const Segment& s);
  void merge();
  void acknowledge(Time at);
  void send_own(Time at, const PeerSend& p, std::vector<Segment>& out);
  Segment make(Time at, uint8_t flags) const;
  void add_sacks(Segment& s);
  uint16_t window(Time at) const;
  uint32_t ts_now(Time at) const { return 5000 + static_cast<uint32_t>(at.ms()); }

  Case case_;
  std::multimap<Time, Event> events_;
  bool is_connected_ = false, has_syn_ = false, uses_ts_ = false, uses_sack_ = false, uses_wscale_ = false;
  bool uses_ecn_ = false, has_ece_ = false;
  Time connected_at_ = Time::never();
  Time last_arrival_;  // of an ACK at the stack: the path keeps the order
  uint16_t stack_port_ = 0;
  uint32_t iss_ = 0xfffff000u;  // its sequence numbers wrap early
  uint32_t snd_max_ = iss_ + 1;
  uint32_t irs_ = 0, rcv_nxt_ = 0;
  uint32_t ts_recent_ = 0;
  std::vector<Range> held_;  // out of order, the newest first
  std::optional<Range> duplicate_;
  bool has_fin_ = false, got_fin_ = false;
  uint32_t fin_seq_ = 0;
  uint32_t data_count_ = 0, ack_count_ = 0, syn_count_ = 0, unacked_ = 0;
};

}  // namespace leat::differ
