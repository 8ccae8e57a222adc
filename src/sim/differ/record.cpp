// See record.h.
#include "sim/differ/record.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include "sim/differ/app.h"
#include "sim/differ/peer.h"

namespace leat::differ {
namespace {

class Recorder {
 public:
  Recorder(const Case& c, drill::Target& target, Trace& out)
      : case_(c), target_(target), out_(out), app_(target.calls()), peer_(c) {}

  bool set_up(std::string& why) {
    out_ = Trace{};
    out_.number = case_.number;
    out_.is_v6 = case_.is_v6;
    out_.is_passive = case_.is_passive;
    out_.congestion = case_.congestion;
    out_.sysctls = case_.sysctls;
    out_.options_before = case_.options_before;
    for (const auto& [name, value] : case_.sysctls) {
      if (!target_.set_sysctl(name, value, why)) return false;
    }
    (void)target_.take_sent();
    return true;
  }

  void play() {
    began_ = target_.now();
    note_clock();
    peer_.begin(Time());
    const Time t = now();
    note(TraceEvent::kOpen, t, app_.open({case_.is_v6, case_.is_passive, case_.congestion, case_.options_before}));
    collect();
    while (now() < end()) {
      const Time next = std::min({peer_.next(), next_op(), end()});
      target_.run_until(began_ + (next - Time()));
      collect();
      inject_due();
      call_due();
    }
    out_.end = now();
    std::stable_sort(out_.events.begin(), out_.events.end(),
                     [](const TraceEvent& a, const TraceEvent& b) { return a.at < b.at; });
  }

 private:
  void note_clock() {
    timespec t{}, jiffy{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    clock_getres(CLOCK_MONOTONIC_COARSE, &jiffy);
    out_.clock_us = t.tv_sec * 1'000'000 + t.tv_nsec / 1000;
    out_.jiffy_us = jiffy.tv_nsec / 1000;
  }
  Time now() const { return Time::from_ns((target_.now() - began_).ns()); }
  Time end() const {  // a connection that never comes ends after a few SYNs
    return peer_.is_connected() ? peer_.connected_at() + case_.length : Time::from_us(9'000'000);
  }
  Time next_op() const {
    if (!peer_.is_connected()) return Time::never();
    if (case_.is_passive && !is_accepted_) return peer_.connected_at() + Duration::from_ms(3);
    if (op_ == case_.ops.size()) return Time::never();
    return peer_.connected_at() + Duration::from_ms(5) + case_.ops[op_].at;
  }
  void note(TraceEvent::Kind kind, Time at, int64_t result) {
    TraceEvent e{kind, at};
    e.result = result;
    out_.events.push_back(std::move(e));
  }

  void collect() {
    for (const drill::SentPacket& p : target_.take_sent()) {
      const auto s = parse(p.bytes);
      if (!s) continue;
      TraceEvent e{TraceEvent::kOut, Time::from_ns((p.at - began_).ns())};
      e.segment = *s;
      peer_.on_sent(e.at, *s);
      out_.events.push_back(std::move(e));
    }
  }

  void inject_due() {
    for (const Segment& s : peer_.take_due(now())) {
      const std::vector<uint8_t> packet = build(s);
      TraceEvent e{TraceEvent::kIn, now()};
      e.segment = s;
      target_.inject(packet);
      out_.events.push_back(std::move(e));
      collect();
    }
  }

  void call_due() {
    while (next_op() <= now()) {
      if (case_.is_passive && !std::exchange(is_accepted_, true)) {
        const Time t = now();
        note(TraceEvent::kAccept, t, app_.accept());
      } else {
        TraceEvent e{TraceEvent::kCall, now()};
        e.op = case_.ops[op_++];
        e.result = app_.run(e.op, e.info);
        out_.events.push_back(std::move(e));
      }
      collect();
    }
  }

  const Case& case_;
  drill::Target& target_;
  Trace& out_;
  App app_;
  Peer peer_;
  Time began_;
  bool is_accepted_ = false;
  size_t op_ = 0;
};

}  // namespace

bool record(const Case& c, drill::Target& target, Trace& out, std::string& why) {
  Recorder r(c, target, out);
  if (!r.set_up(why)) return false;
  r.play();
  return true;
}

}  // namespace leat::differ
