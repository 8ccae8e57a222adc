// See replay.h.
#include "sim/differ/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <set>

#include "link/link.h"
#include "sim/differ/app.h"
#include "sim/differ/compare.h"
#include "sim/differ/info.h"
#include "sim/drill/stack_calls.h"
#include "stack/stack_impl.h"

namespace leat::differ {
namespace {

constexpr Duration kJiffy = Duration::from_ms(5);      // by which a timer in jiffies may be early, and a bit
constexpr Duration kNextTimer = Duration::from_ms(3);  // less than a timer armed by another can be behind it
constexpr int kTries = 60;
constexpr int64_t kBeginUs = 1'000'000'000;

// The wire: what the trace injects is received, what leat sends is kept.
class TraceLink final : public Link {
 public:
  struct Sent {
    Segment segment;
    Time at;
    bool is_by_timer;
  };
  bool runs_timers = false;
  std::deque<std::vector<uint8_t>> inbound;
  std::deque<Sent> sent;

  const LinkFeatures& features() const override { return features_; }
  size_t receive_batch(std::span<Packet*> out, PacketPool& pool, Time now) override {
    size_t n = 0;
    while (n < out.size() && !inbound.empty()) {
      PacketPtr p = pool.make_copy(ByteView(inbound.front().data(), inbound.front().size()), 64);  // as a TUN
      inbound.pop_front();
      if (p == nullptr) continue;
      p->received = now;
      out[n++] = p.release();
    }
    return n;
  }
  void transmit_batch(std::span<Packet*> packets, Time now) override {
    for (Packet* raw : packets) {
      PacketPtr p(raw);
      std::vector<uint8_t> bytes(p->length);
      p->copy_out(0, bytes.data(), p->length);
      if (auto s = parse(bytes)) sent.push_back({*s, now, runs_timers});
    }
  }
  Time next_event() const override { return Time::never(); }

 private:
  LinkFeatures features_;
};

// What a trace does not tell of the kernel's time.
struct Timing {
  std::set<size_t> early;  // the events before which a timer that may have fired is taken to have fired
  Duration before_answer;  // when it looked at its clock, before its answer was seen
};

class Replay {
 public:
  Replay(const Trace& t, const Timing& timing) : trace_(t), timing_(timing) { set_up(); }

  Difference run() {
    for (index_ = 0; index_ < trace_.events.size() && difference_.is_equal(); ++index_) {
      const TraceEvent& e = trace_.events[index_];
      const Time at = on_stack(time_of(index_));
      if (e.kind == TraceEvent::kOut) {
        expect(e, at);
        continue;
      }
      fire_overdue(at);
      decide(at);
      check_for_extra(at);
      if (!difference_.is_equal()) break;
      if (e.kind == TraceEvent::kIn)
        receive(e, at);
      else
        call(e, at);
    }
    if (difference_.is_equal()) {
      const Time end = on_stack(trace_.end);
      fire_overdue(end);
      check_for_extra(end);
    }
    return difference_;
  }
  // Where a timer was due, or nearly so, and the kernel did not show whether it had fired.
  const std::vector<size_t>& open_questions() const { return open_questions_; }

 private:
  Time on_stack(Time t) const { return begin_ + (t - Time()); }
  double to_ms(Time t) const { return static_cast<double>((t - begin_).us()) / 1000; }

  Time time_of(size_t index) const;
  Time within_tick(const Segment& sent, Time t) const;
  void read_clock();
  void set_up();
  void turn(Time t, bool with_timers);
  void note_deadline();
  void fire_overdue(Time until);
  void decide(Time at);
  void check_for_extra(Time at);
  void receive(const TraceEvent& e, Time at);
  void call(const TraceEvent& e, Time at);
  void expect(const TraceEvent& e, Time at);
  bool fire_for(const TraceEvent& e, Time at);
  void match(const TraceEvent& e, const TraceLink::Sent& actual);
  Segment translate(Segment s) const;
  void differ(std::string kind, const std::string& expected, const std::string& actual);
  std::string say_kernel(const Segment& s) const;
  std::string say_leat(const Segment& s) const;

  const Trace& trace_;
  const Timing& timing_;
  std::vector<size_t> open_questions_;
  std::unique_ptr<Stack> stack_;
  std::unique_ptr<drill::StackCalls> calls_;
  std::unique_ptr<App> app_;
  TraceLink* link_ = nullptr;
  int ifindex_ = 0;
  size_t index_ = 0;
  Difference difference_;
  bool is_numbered_ = false;
  Numbering kernel_, leat_, peer_;
  std::map<uint32_t, uint32_t> stamps_;  // a time stamp that the kernel sent: what leat sent in its place
  Time begin_;                           // the trace's zero on the Stack's clock
  int64_t stamp_base_ = 0;               // what the kernel's time stamps are ahead of its clock in ms
  bool has_stamps_ = false;
  Time now_, last_sent_;
  Time deadline_ = Time::never(), armed_at_;  // the next deadline, and when it was first seen
};

// What the kernel sent at once tells when it took the input: some microseconds after it was given, and before it sent.
Time Replay::time_of(size_t index) const {
  const TraceEvent& e = trace_.events[index];
  if (e.kind == TraceEvent::kOut) return within_tick(e.segment, e.at);
  if (index + 1 == trace_.events.size()) return e.at;
  const TraceEvent& next = trace_.events[index + 1];
  const bool has_answer = next.kind == TraceEvent::kOut && next.at - e.at < Duration::from_us(400);
  return has_answer ? within_tick(next.segment, std::max(e.at, next.at - timing_.before_answer)) : e.at;
}

// A time stamp tells the millisecond in which the kernel looked at its clock: not later than when the packet was seen.
Time Replay::within_tick(const Segment& sent, Time t) const {
  if (!has_stamps_ || !sent.has_ts) return t;
  const auto late =
      static_cast<int32_t>(static_cast<uint32_t>((trace_.clock_us + t.us()) / 1000 + stamp_base_) - sent.ts_value);
  if (late < 1 || late > 2) return t;
  const int64_t tick_end_us = (trace_.clock_us + t.us()) / 1000 * 1000 - (late - 1) * 1000 - 1;
  return Time::from_us(tick_end_us - trace_.clock_us);
}

void Replay::read_clock() {
  begin_ = Time::from_us(kBeginUs + trace_.clock_us % std::max<int64_t>(trace_.jiffy_us, 1000));
  now_ = last_sent_ = armed_at_ = begin_;
  if (trace_.clock_us == 0) return;
  std::optional<uint32_t> base;
  for (const TraceEvent& e : trace_.events) {
    if (e.kind != TraceEvent::kOut || !e.segment.has_ts || e.segment.ts_value == 0) continue;
    const uint32_t here = e.segment.ts_value - static_cast<uint32_t>((trace_.clock_us + e.at.us()) / 1000);
    if (!base || static_cast<int32_t>(here - *base) > 0) base = here;
  }
  has_stamps_ = base.has_value();
  stamp_base_ = base.value_or(0);
}

void Replay::set_up() {
  read_clock();
  StackConfig config;
  config.seed.fill(7);
  config.with_loopback = true;
  stack_ = Stack::create(config).value();
  stack_->impl().pool.charges = {576, 832, 192};  // of the kernel that is compared
  stack_->impl().tcp.jiffy_mask = ~static_cast<uint32_t>(std::max<int64_t>(trace_.jiffy_us / 1000, 1) - 1);
  auto link = std::make_unique<TraceLink>();
  link_ = link.get();
  ifindex_ = stack_->add_link("tun0", std::move(link)).value();
  RouteOptions o;
  o.ifindex = ifindex_;
  (void)stack_->add_address(ifindex_, "192.168.0.1/16");
  (void)stack_->add_address(ifindex_, "fd3d:0a0b:17d6::1/48");
  (void)stack_->add_route("0.0.0.0/0", "", o);
  (void)stack_->add_route("::/0", "", o);
  stack_->poll(begin_);
  for (const auto& [name, value] : trace_.sysctls) {
    if (!stack_->set_sysctl(name, value)) differ("sysctl " + name, "set", "refused");
  }
  calls_ = std::make_unique<drill::StackCalls>(*stack_);
  app_ = std::make_unique<App>(*calls_);
}

// Stack::poll in two halves, so that what arrives can be taken while timers wait.
void Replay::turn(Time t, bool with_timers) {
  now_ = std::max(now_, t);
  if (with_timers) {
    link_->runs_timers = true;
    stack_->poll(now_);
    link_->runs_timers = false;
  } else {
    Stack::Impl& impl = stack_->impl();
    impl.ns.set_now(now_);
    while (impl.ip.receive(static_cast<uint16_t>(ifindex_), 300) > 0) {
    }
    impl.tcp.end_turn();
    impl.ip.flush();
  }
  note_deadline();
}

void Replay::note_deadline() {
  const Time next = stack_->next_deadline();
  if (next == deadline_) return;
  deadline_ = next;
  armed_at_ = std::min(now_, last_sent_);  // it may have stood behind another one since then
}

// The kernel's wheel: up to a jiffy and an eighth late, and this machine is busy. A deadline that stood behind an
// earlier one was armed for longer than is seen here: 32 ms are an eighth of the usual time-out.
Duration lateness(Duration armed_for) {
  return Duration::from_ms(40) + armed_for * 14 / 100;
}

void Replay::fire_overdue(Time until) {
  for (int i = 0; i < 1000; ++i) {
    note_deadline();
    if (deadline_ == Time::never()) return;
    const Time latest = deadline_ + lateness(std::max(deadline_ - armed_at_, Duration())) + Duration::from_ms(20);
    if (latest > until) return;
    turn(deadline_, true);
    if (!link_->sent.empty()) return;
  }
}

// A timer may fire without a packet to show for it. When one is due, but not so late that it must have fired in the
// kernel, both can be: the search in replay() tries.
void Replay::decide(Time at) {
  note_deadline();
  if (deadline_ > at + kJiffy) return;
  open_questions_.push_back(index_);
  if (!timing_.early.contains(index_)) return;
  for (int i = 0; i < 10 && deadline_ <= at + kJiffy; ++i)
    turn(deadline_, true);
}

// What leat has sent and the kernel has not.
void Replay::check_for_extra(Time at) {
  if (link_->sent.empty() || !difference_.is_equal()) return;
  const TraceLink::Sent& s = link_->sent.front();
  if (s.at + (s.is_by_timer ? kJiffy : Duration::from_ms(3)) > at) return;
  differ("extra", "nothing", fmt::format("{:10.3f} > {}", to_ms(s.at), say_leat(s.segment)));
}

Segment Replay::translate(Segment s) const {
  const uint32_t shift = leat_.seq - kernel_.seq;
  if (!is_numbered_) return s;
  if (s.has(kAck)) s.ack += shift;
  for (Range& r : s.sacks) {
    r.from += shift;
    r.to += shift;
  }
  if (s.has_ts && s.ts_echo != 0) {
    const auto known = stamps_.find(s.ts_echo);
    s.ts_echo = known != stamps_.end() ? known->second : s.ts_echo + (leat_.ts - kernel_.ts);
  }
  return s;
}

void Replay::receive(const TraceEvent& e, Time at) {
  if (peer_.seq == 0) peer_ = {e.segment.seq, e.segment.ts_value};
  link_->inbound.push_back(build(translate(e.segment)));
  turn(at, false);
}

void Replay::call(const TraceEvent& e, Time at) {
  now_ = std::max(now_, at);
  stack_->impl().ns.set_now(now_);
  std::vector<uint8_t> info;
  int64_t result = 0;
  std::string name = "open";
  if (e.kind == TraceEvent::kOpen) {
    result = app_->open({trace_.is_v6, trace_.is_passive, trace_.congestion, trace_.options_before});
  } else if (e.kind == TraceEvent::kAccept) {
    result = app_->accept();
    name = "accept";
  } else {
    result = app_->run(e.op, info);
    name = describe(e.op);
  }
  turn(at, false);
  const std::string kind = name.substr(0, name.find(' '));
  if (result != e.result)
    return differ("call " + kind, fmt::format("{} = {}", name, e.result), fmt::format("= {}", result));
  const std::string fields = e.info.empty() ? "" : compare_info(e.info, info);
  if (!fields.empty()) differ("info: " + fields.substr(0, fields.find(' ')), describe_info(e.info), fields);
}

// The kernel sent this now: leat has, or one of its timers is due.
void Replay::expect(const TraceEvent& e, Time at) {
  if (link_->sent.empty()) fire_overdue(at);
  if (link_->sent.empty() && !fire_for(e, at))
    return differ(
        "missing", say_kernel(e.segment),
        fmt::format("nothing; the next timer is due at {:.3f}", deadline_ == Time::never() ? -1 : to_ms(deadline_)));
  const TraceLink::Sent actual = link_->sent.front();
  link_->sent.pop_front();
  last_sent_ = actual.at;
  match(e, actual);
}

// Delays that the kernel reckons in jiffies of 4 ms may be that much shorter; those of delayed ACKs by a few of them.
bool Replay::fire_for(const TraceEvent& e, Time at) {
  const Duration slack = Duration::from_ms(e.segment.flags == kAck && e.segment.length == 0 ? 24 : 5);
  for (int i = 0; i < 100 && link_->sent.empty(); ++i) {
    note_deadline();
    if (deadline_ > at + slack) return false;
    if (i == 0 && deadline_ + kNextTimer < at) open_questions_.push_back(index_);  // it, or one that it has armed?
    // The kernel's wheel rounds up: a timer fires in the jiffy behind the one that it was armed for.
    const Time fired = std::min(at, deadline_ + Duration::from_us(trace_.jiffy_us));
    turn(timing_.early.contains(index_) ? std::max(fired, deadline_) : std::max(at, deadline_), true);
  }
  return !link_->sent.empty();
}

void Replay::match(const TraceEvent& e, const TraceLink::Sent& actual) {
  if (!is_numbered_) {
    is_numbered_ = true;
    kernel_ = {e.segment.seq, e.segment.ts_value};
    leat_ = {actual.segment.seq, actual.segment.ts_value};
  }
  if (e.segment.has(kSyn) && actual.segment.has(kSyn) && e.segment.seq != kernel_.seq) {  // another connection
    kernel_.seq = e.segment.seq;
    leat_.seq = actual.segment.seq;
  }
  if (e.segment.has_ts) stamps_.emplace(e.segment.ts_value, actual.segment.ts_value);
  const auto stamp_slack = static_cast<int>(actual.is_by_timer ? kJiffy.ms() : 1);  // of what is sent on time
  const std::string fields = compare(e.segment, kernel_, actual.segment, leat_, stamp_slack);
  if (!fields.empty())
    differ("segment: " + fields, say_kernel(e.segment),
           fmt::format("{} (at {:.3f}): {}", say_leat(actual.segment), to_ms(actual.at), fields));
}

std::string Replay::say_kernel(const Segment& s) const {
  return describe(s, kernel_.seq, peer_.seq, kernel_.ts, peer_.ts);
}
std::string Replay::say_leat(const Segment& s) const {
  return describe(s, leat_.seq, peer_.seq, leat_.ts, peer_.ts);
}

void Replay::differ(std::string kind, const std::string& expected, const std::string& actual) {
  if (!difference_.is_equal()) return;
  difference_.index = index_;
  difference_.kind = std::move(kind);
  difference_.text = fmt::format("  kernel: {}\n  leat:   {}\n", expected, actual);
  std::vector<uint8_t> info;
  if (app_ != nullptr && app_->run(Op{}, info) >= 0)
    difference_.text += fmt::format("  leat at {:.3f}: {}\n", to_ms(now_), describe_info(info));
}

}  // namespace

namespace {

// Greedy: of the open questions before a difference the latest first; an answer that leads further is kept.
Difference search(const Trace& trace, Duration before_answer) {
  Timing timing{{}, before_answer};
  auto first = std::make_unique<Replay>(trace, timing);
  Difference best = first->run();
  std::vector<size_t> open = first->open_questions();
  for (int tries = 0; !best.is_equal() && !open.empty() && tries < kTries; ++tries) {
    const size_t question = open.back();
    open.pop_back();
    if (!timing.early.insert(question).second) continue;
    Replay again(trace, timing);
    Difference d = again.run();
    if (d.is_equal() || d.index > best.index) {
      best = std::move(d);
      open = again.open_questions();
    } else {
      timing.early.erase(question);
    }
  }
  return best;
}

}  // namespace

// A difference is one only if no timing that the kernel may have had explains what it did.
Difference replay(const Trace& trace) {
  Difference best;
  for (int us : {8, 4, 14, 1, 25}) {
    Difference d = search(trace, Duration::from_us(us));
    if (d.is_equal()) return d;
    if (best.is_equal() || d.index > best.index) best = std::move(d);
  }
  return best;
}

}  // namespace leat::differ
