// See replay.h.
#include "sim/differ/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>

#include "link/link.h"
#include "sim/differ/app.h"
#include "sim/differ/compare.h"
#include "sim/differ/info.h"
#include "sim/drill/stack_calls.h"
#include "stack/stack_impl.h"

namespace leat::differ {
namespace {

constexpr Time kBegin = Time::from_us(1'000'000'000);  // the trace's zero on the Stack's clock

// The wire: what the trace injects is received, what leat sends is kept.
class TraceLink final : public Link {
 public:
  struct Sent {
    Segment segment;
    Time at;
  };
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
      if (auto s = parse(bytes)) sent.push_back({*s, now});
    }
  }
  Time next_event() const override { return Time::never(); }

 private:
  LinkFeatures features_;
};

class Replay {
 public:
  explicit Replay(const Trace& t) : trace_(t) { set_up(); }

  Difference run() {
    for (index_ = 0; index_ < trace_.events.size() && difference_.is_equal(); ++index_) {
      const TraceEvent& e = trace_.events[index_];
      const Time at = on_stack(time_of(index_));
      if (e.kind == TraceEvent::kOut) {
        expect(e, at);
        continue;
      }
      fire_overdue(at);
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

 private:
  static Time on_stack(Time t) { return kBegin + (t - Time()); }
  static double to_ms(Time t) { return static_cast<double>((t - kBegin).us()) / 1000; }

  Time time_of(size_t index) const;
  void set_up();
  void turn(Time t, bool with_timers);
  void note_deadline();
  void fire_overdue(Time until);
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
  Time now_ = kBegin, last_sent_ = kBegin;
  Time deadline_ = Time::never(), armed_at_ = kBegin;  // the next deadline, and when it was first seen
};

// What the kernel sent at once tells when it took the input: some microseconds after it was given, and before it sent.
Time Replay::time_of(size_t index) const {
  const TraceEvent& e = trace_.events[index];
  if (e.kind == TraceEvent::kOut || index + 1 == trace_.events.size()) return e.at;
  const TraceEvent& next = trace_.events[index + 1];
  const bool has_answer = next.kind == TraceEvent::kOut && next.at - e.at < Duration::from_us(400);
  return has_answer ? std::max(e.at, next.at - Duration::from_us(8)) : e.at;
}

void Replay::set_up() {
  StackConfig config;
  config.seed.fill(7);
  config.with_loopback = true;
  stack_ = Stack::create(config).value();
  stack_->impl().pool.charges = {576, 832, 192};  // of the kernel that is compared
  auto link = std::make_unique<TraceLink>();
  link_ = link.get();
  ifindex_ = stack_->add_link("tun0", std::move(link)).value();
  RouteOptions o;
  o.ifindex = ifindex_;
  (void)stack_->add_address(ifindex_, "192.168.0.1/16");
  (void)stack_->add_address(ifindex_, "fd3d:0a0b:17d6::1/48");
  (void)stack_->add_route("0.0.0.0/0", "", o);
  (void)stack_->add_route("::/0", "", o);
  stack_->poll(kBegin);
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
    stack_->poll(now_);
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
    turn(latest, true);
    if (!link_->sent.empty()) return;
  }
}

// What leat has sent and the kernel has not.
void Replay::check_for_extra(Time at) {
  if (link_->sent.empty() || !difference_.is_equal()) return;
  const TraceLink::Sent& s = link_->sent.front();
  if (s.at + Duration::from_ms(3) > at) return;
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
    turn(std::max(at, deadline_), true);
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
  const std::string fields = compare(e.segment, kernel_, actual.segment, leat_);
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

Difference replay(const Trace& trace) {
  return Replay(trace).run();
}

}  // namespace leat::differ
