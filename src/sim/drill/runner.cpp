// See runner.h. Time is the script's: zero is when its first event is due. Packets that leave are collected as time
// passes and wait for the event that expects them; what leaves for nobody known is passed over, as the language has it.
#include "sim/drill/runner.h"

#include <cstdio>
#include <deque>
#include <fstream>
#include <sstream>

#include "sim/drill/call_values.h"
#include "sim/drill/calls.h"
#include "sim/drill/code.h"
#include "sim/drill/commands.h"
#include "sim/drill/parser.h"
#include "sim/drill/script_options.h"
#include "sim/drill/symbols.h"
#include "wire/tcp.h"

namespace leat::drill {
namespace {

using Kind = EventTime::Kind;

constexpr int64_t kLookOnUs = 5'000'000;       // after a packet failed to come: does it come late?
constexpr int64_t kAnyTimeUs = 3'600'000'000;  // how long * waits, in virtual time
constexpr int64_t kAnyTimeRealUs = 60'000'000;
constexpr int64_t kEventUs = 10;  // what an event takes at least: two are never at once, as in life
constexpr int kSolTcp = 6, kTcpInfo = 11;

std::string seconds(int64_t us) {
  char text[40];
  std::snprintf(text, sizeof text, "%.6f", static_cast<double>(us) / 1e6);
  return text;
}

// In real time only: nothing was learned about who is under test.
class Inconclusive : public ScriptError {
 public:
  Inconclusive(Place where, const std::string& what, bool late) : ScriptError(where, what), is_late(late) {}
  bool is_late;
};

struct Pending {
  const Event* event;
  PreparedCall prepared;
  std::unique_ptr<PendingCall> call;
  int64_t end_us;  // the script's
  int64_t tolerance_us;
};

class Run {
 public:
  Run(const Script& script, const Settings& settings, const RunOptions& options, Target& target)
      : script_(script),
        settings_(settings),
        options_(options),
        target_(target),
        session_{target},
        commands_(target, directory(script.path)) {
    session_.variant = options.variant;
    session_.local = settings.local();
    session_.remote = settings.remote();
    session_.bind_port = settings.bind_port;
    session_.connect_port = settings.connect_port;
  }

  void run();
  std::vector<std::string>& trace() { return trace_; }
  size_t events() const { return events_; }

 private:
  static std::string directory(const std::string& path) {
    const auto slash = path.rfind('/');
    return slash == std::string::npos ? "." : path.substr(0, slash);
  }
  int64_t now_us() const { return target_.now().us() - start_us_; }
  int64_t tolerance_us() const;

  void place_event(const Event& e);
  void wait_for_event(const Event& e);
  void run_event(const Event& e);
  void pass_time(int64_t until_us);
  void collect();

  void inject(const Event& e);
  Conversation& conversation_for(const Event& e);
  void expect(const Event& e);
  bool await_packet(const PacketSpec& script, int64_t until_us, LivePacket& out);
  void check_packet_time(const Event& e, int64_t at_us);
  [[noreturn]] void fail_missing(const Event& e, int64_t until_us);
  [[noreturn]] void fail_packet(const Event& e, const PacketSpec& seen, int64_t at_us, const std::string& what);

  void call(const Event& e);
  void conclude(const Event& e, const PreparedCall& prepared, int64_t result);
  void settle_pending(bool must_end);
  void command(const std::string& text, Place place);
  void code(const Event& e);
  void clean_up();

  void note(int64_t at_us, const std::string& line) { trace_.push_back("  " + seconds(at_us) + "  " + line); }

  const Script& script_;
  const Settings& settings_;
  const RunOptions& options_;
  Target& target_;
  Session session_;
  Commands commands_;
  Variables variables_;
  int64_t start_us_ = 0;
  // The event that is being run, and the one before it, in the script's time.
  int64_t event_us_ = 0, event_end_us_ = 0, base_us_ = 0, last_us_ = 0;
  bool has_last_ = false, is_last_anchored_ = false;
  std::deque<LivePacket> sent_;
  std::unique_ptr<Pending> pending_;
  std::vector<std::string> trace_;
  size_t events_ = 0;
};

int64_t Run::tolerance_us() const {
  int64_t t = settings_.tolerance_us;
  if (has_last_) {
    const auto dynamic =
        static_cast<int64_t>(settings_.tolerance_percent / 100 * static_cast<double>(event_us_ - last_us_));
    t = std::max(t, dynamic);
  }
  return t + options_.extra_tolerance_us;
}

// Relative times count from the event before, or from now when that had no exact time itself.
void Run::place_event(const Event& e) {
  const bool is_anchored = e.time.kind == Kind::kAbsolute || e.time.kind == Kind::kRelative;
  const bool is_relative =
      e.time.kind == Kind::kRelative || e.time.kind == Kind::kRelativeRange || e.time.kind == Kind::kAny;
  base_us_ = 0;
  if (is_relative) base_us_ = has_last_ && is_last_anchored_ && is_anchored ? last_us_ : now_us();
  event_us_ = base_us_ + e.time.us;
  event_end_us_ = base_us_ + e.time.end_us;
  if (is_anchored || e.time.kind == Kind::kAny) event_end_us_ = event_us_;
  if (has_last_ && is_anchored && e.time.kind == Kind::kAbsolute && event_us_ < last_us_) {
    throw ScriptError(e.place, "this event is before the one above it, which was at " + seconds(last_us_));
  }
}

void Run::collect() {
  for (const SentPacket& s : target_.take_sent()) {
    auto live = read_packet(s);
    if (!live) continue;
    if (const std::string fault = checksum_fault(s); !fault.empty()) {
      throw ScriptError(script_.events[events_].place,
                        "a packet left at " + seconds(s.at.us() - start_us_) + " whose checksum is wrong: " + fault);
    }
    sent_.push_back(std::move(*live));
  }
  settle_pending(false);
}

void Run::pass_time(int64_t until_us) {
  while (now_us() < until_us) {
    target_.run_until(Time::from_us(start_us_ + until_us));
    collect();
  }
}

void Run::wait_for_event(const Event& e) {
  pass_time(std::max(event_us_, has_last_ ? now_us() + kEventUs : 0));
  if (now_us() <= event_us_ + tolerance_us()) return;
  const std::string what =
      "this event is late: it should be at " + seconds(event_us_) + ", and it is " + seconds(now_us()) + " already";
  if (options_.is_real_time) throw Inconclusive(e.place, what, true);
  throw ScriptError(e.place, what);
}

void Run::run_event(const Event& e) {
  place_event(e);
  const bool is_expectation = e.kind == Event::Kind::kPacket && !e.packet.is_inbound;
  if (is_expectation) {
    expect(e);
  } else {
    wait_for_event(e);
    if (e.kind == Event::Kind::kPacket) inject(e);
    if (e.kind == Event::Kind::kCall) call(e);
    if (e.kind == Event::Kind::kCommand) command(e.command, e.place);
    if (e.kind == Event::Kind::kCode) code(e);
    collect();
  }
  last_us_ = event_us_;
  is_last_anchored_ = e.time.kind == Kind::kAbsolute || e.time.kind == Kind::kRelative;
  has_last_ = true;
}

void Run::run() {
  if (!script_.init_command.empty()) command(script_.init_command, script_.init_place);
  start_us_ = target_.now().us();
  if (!script_.events.empty() && script_.events[0].time.kind == Kind::kAbsolute) start_us_ -= script_.events[0].time.us;
  for (; events_ < script_.events.size(); ++events_)
    run_event(script_.events[events_]);
  if (events_ > 0) --events_;
  settle_pending(true);
  for (const LivePacket& p : sent_) {
    if (session_.current == nullptr || !session_.current->is_from_here(p)) continue;
    note(p.at.us() - start_us_, "(nobody looked) " + to_string_spec(session_.current->to_script(p)));
  }
  clean_up();
  ++events_;
}

// --- packets ---------------------------------------------------------------------------------------------------------

Conversation& Run::conversation_for(const Event& e) {
  const PacketSpec& p = e.packet;
  const bool is_tcp = p.protocol == PacketSpec::Protocol::kTcp;
  Conversation* c = session_.current;
  const bool opens = is_tcp && p.is_inbound && (c == nullptr || c->state == Conversation::State::kListening);
  if (opens) {
    Conversation& child = session_.accept_peer();
    child.set_remote_isn(p.seq);
    return child;
  }
  if (c == nullptr && !is_tcp) {
    c = &session_.open(p.protocol);
    c->ends.local_port = session_.bind_port;
  }
  if (c != nullptr && !is_tcp && p.is_inbound && c->ends.remote_port == 0)
    c->ends.remote_port = session_.next_remote_port++;
  if (c == nullptr) throw ScriptError(e.place, "no socket of the script can have sent this: there is none yet");
  return *c;
}

void Run::inject(const Event& e) {
  Conversation& c = conversation_for(e);
  try {
    const PacketSpec live = c.to_live(e.packet, settings_.ts_ecr_scaled);
    c.note_injected(live);
    note(now_us(), to_string_spec(e.packet));
    target_.inject(build_packet(live, c.ends));
  } catch (const ScriptError& error) {
    throw ScriptError(e.place, error.what());
  }
}

// The next packet of the socket under test, if one leaves by then.
bool Run::await_packet(const PacketSpec& script, int64_t until_us, LivePacket& out) {
  for (;;) {
    while (!sent_.empty()) {
      LivePacket p = std::move(sent_.front());
      sent_.pop_front();
      Conversation& c = *session_.current;
      if (c.is_from_here(p)) {
        c.learn(p, script);
        out = std::move(p);
        return true;
      }
      note(p.at.us() - start_us_, "(not of this socket: " + to_string_spec(p.spec) + ")");
    }
    if (now_us() >= until_us) return false;
    target_.run_until(Time::from_us(start_us_ + until_us));
    collect();
  }
}

void Run::fail_missing(const Event& e, int64_t until_us) {
  std::string what = "the packet did not come by " + seconds(until_us) + "\n  expected  " + seconds(event_us_) + "  " +
                     to_string_spec(e.packet);
  LivePacket late;
  if (await_packet(e.packet, until_us + (options_.is_real_time ? 500'000 : kLookOnUs), late)) {
    what +=
        "\n  next was  " + seconds(late.at.us() - start_us_) + "  " + to_string_spec(session_.current->to_script(late));
  } else {
    what += "\n  and no other packet came in the seconds after that";
  }
  throw ScriptError(e.place, what);
}

void Run::fail_packet(const Event& e, const PacketSpec& seen, int64_t at_us, const std::string& what) {
  std::string text = "the packet is not as expected";
  text += "\n  expected  " + seconds(event_us_) + "  " + to_string_spec(e.packet);
  text += "\n  was       " + seconds(at_us) + "  " + to_string_spec(seen) + "\n  ";
  for (const char c : what)
    text += c == '\n' ? std::string("\n  ") : std::string(1, c);
  throw ScriptError(e.place, text);
}

void Run::check_packet_time(const Event& e, int64_t at_us) {
  if (e.time.kind == Kind::kAny) return;
  const int64_t t = tolerance_us();
  if (at_us >= event_us_ - t && at_us <= event_end_us_ + t) return;
  std::string expected = seconds(event_us_);
  if (event_end_us_ != event_us_) expected += " to " + seconds(event_end_us_);
  throw ScriptError(e.place, "the packet came at " + seconds(at_us) + ", expected at " + expected + " (tolerance " +
                                 seconds(t) + ")\n  " + to_string_spec(e.packet));
}

void Run::expect(const Event& e) {
  Conversation& c = conversation_for(e);
  const int64_t any = options_.is_real_time ? kAnyTimeRealUs : kAnyTimeUs;
  const int64_t until = e.time.kind == Kind::kAny ? now_us() + any : event_end_us_ + tolerance_us() + 1;
  LivePacket first;
  if (!await_packet(e.packet, until, first)) fail_missing(e, until);
  PacketSpec seen = c.to_script(first);
  int64_t at_us = first.at.us() - start_us_;
  // A burst is written as one packet: its parts are joined until they are as long.
  while (first.is_tcp() && seen.payload > 0 && seen.payload < e.packet.payload && !settings_.strict_segments) {
    LivePacket next;
    if (!await_packet(e.packet, until, next)) break;
    at_us = next.at.us() - start_us_;
    const PacketSpec part = c.to_script(next);
    if (const std::string what = join_burst(seen, part, e.packet); !what.empty()) fail_packet(e, part, at_us, what);
  }
  c.map_timestamp(seen, e.packet);
  seen.tos_check =
      e.packet.tos_check == PacketSpec::TosCheck::kTos ? PacketSpec::TosCheck::kTos : PacketSpec::TosCheck::kEcn;
  if (e.packet.tos_check == PacketSpec::TosCheck::kNone) seen.tos_check = PacketSpec::TosCheck::kNone;
  seen.has_ace = e.packet.has_ace;
  MatchRules rules{settings_.ts_tick_us, tolerance_us()};
  if (const std::string what = difference(e.packet, seen, rules); !what.empty()) fail_packet(e, seen, at_us, what);
  note(at_us, to_string_spec(seen));
  check_packet_time(e, at_us);
}

// --- calls -----------------------------------------------------------------------------------------------------------

void Run::call(const Event& e) {
  settle_pending(true);
  PreparedCall prepared = prepare_call(session_, e.call);
  if (e.call.blocks_us) {
    pending_ = std::make_unique<Pending>(Pending{&e, std::move(prepared), nullptr, base_us_ + *e.call.blocks_us, 0});
    const auto dynamic =
        static_cast<int64_t>(settings_.tolerance_percent / 100 * static_cast<double>(pending_->end_us - event_us_));
    pending_->tolerance_us = std::max(settings_.tolerance_us, dynamic) + options_.extra_tolerance_us;
    note(now_us(), e.source + "  (begins)");
    pending_->call = target_.begin(pending_->prepared.invoke);
    return;
  }
  const int64_t before = now_us();
  const int64_t result = prepared.invoke(target_.calls());
  if (now_us() > before + tolerance_us()) {
    throw ScriptError(e.call.place,
                      "the call blocked until " + seconds(now_us()) + "; write ...TIME before it if it should");
  }
  conclude(e, prepared, result);
}

void Run::conclude(const Event& e, const PreparedCall& prepared, int64_t result) {
  const CallSpec& spec = e.call;
  const int64_t expected = spec.result.kind == Expr::Kind::kEllipsis ? result : to_number(spec.result);
  const auto shown = [](int64_t r) { return r < 0 ? "-1 " + errno_name(static_cast<int>(-r)) : std::to_string(r); };
  note(now_us(), e.source);
  const bool is_right = result < 0 ? expected == -1 && (spec.errno_name.empty() || symbol(spec.errno_name) == -result)
                        : prepared.makes_fd ? expected >= 0
                                            : expected == result;
  if (!is_right) {
    const std::string wanted =
        expected == -1 && !spec.errno_name.empty() ? "-1 " + spec.errno_name : std::to_string(expected);
    throw ScriptError(spec.place,
                      spec.name + " gave another result\n  expected  " + wanted + "\n  was       " + shown(result));
  }
  prepared.conclude(result);
}

// Has the blocked call ended, and when it should? must_end: it has to before the script goes on.
void Run::settle_pending(bool must_end) {
  if (pending_ == nullptr || pending_->call == nullptr) return;
  const int64_t latest = pending_->end_us + pending_->tolerance_us;
  while (must_end && !pending_->call->is_done() && now_us() <= latest) {
    target_.run_until(Time::from_us(start_us_ + latest + 1));
    for (const SentPacket& s : target_.take_sent()) {
      if (auto live = read_packet(s)) sent_.push_back(std::move(*live));
    }
  }
  if (!pending_->call->is_done()) {
    if (now_us() <= latest) return;
    const Event& e = *pending_->event;
    pending_->event = nullptr;
    throw ScriptError(e.call.place, e.call.name + " still blocks at " + seconds(now_us()) + "; expected to end at " +
                                        seconds(pending_->end_us));
  }
  const std::unique_ptr<Pending> done = std::move(pending_);
  const int64_t ended = done->call->ended().us() - start_us_;
  conclude(*done->event, done->prepared, done->call->result());
  if (std::abs(ended - done->end_us) <= done->tolerance_us) return;
  throw ScriptError(done->event->call.place, done->event->call.name + " ended at " + seconds(ended) + ", expected at " +
                                                 seconds(done->end_us) + " (tolerance " + seconds(done->tolerance_us) +
                                                 ")");
}

// --- the rest --------------------------------------------------------------------------------------------------------

void Run::command(const std::string& text, Place place) {
  try {
    if (commands_.run(text)) return;
    const std::string what = "the command failed: " + commands_.why();
    // A kernel without fq, or without a sysctl that newer ones have.
    if (options_.is_real_time && !commands_.was_counter()) throw Inconclusive(place, what, false);
    throw ScriptError(place, what);
  } catch (const ScriptError&) {
    throw;
  } catch (const std::runtime_error& e) {
    throw ScriptError(place, e.what());
  }
}

void Run::code(const Event& e) {
  std::vector<uint8_t> info(512), meminfo(64);
  socklen_t info_length = 512, meminfo_length = 64;
  const int fd = session_.current == nullptr ? -1 : session_.current->live_fd;
  Calls& calls = target_.calls();
  info.resize(fd >= 0 && calls.getsockopt(fd, kSolTcp, kTcpInfo, info.data(), &info_length) >= 0 ? info_length : 0);
  const bool has_meminfo =
      fd >= 0 && calls.getsockopt(fd, SOL_SOCKET, SO_MEMINFO, meminfo.data(), &meminfo_length) >= 0;
  meminfo.resize(has_meminfo ? meminfo_length : 0);
  Code::Context context{variables_,
                        [&](const std::string& name) -> std::optional<Value> {
                          if (const auto v = tcp_info_field(name, info)) return *v;
                          if (const auto v = meminfo_field(name, meminfo)) return *v;
                          if (name.starts_with("tcpi_") && info.empty()) {
                            throw ScriptError(e.place, "there is no tcp_info: the socket under test has no descriptor");
                          }
                          if (const auto v = symbol(name)) return *v;
                          return std::nullopt;
                        },
                        [&](const std::string& line) {
                          note(now_us(), "print: " + line);
                          if (options_.print) {
                            options_.print(line);
                          } else {
                            std::printf("%s\n", line.c_str());
                          }
                        }};
  note(now_us(), e.source);
  e.code->run(context);
}

// Whatever is still open is closed, and its peers reset it.
void Run::clean_up() {
  for (const auto& [script, live] : session_.fds)
    (void)target_.calls().close(live);
  session_.fds.clear();
  for (const Conversation& c : session_.conversations) {
    if (c.protocol == PacketSpec::Protocol::kTcp && c.ends.local_port != 0 && c.ends.remote_port != 0)
      target_.inject(c.build_reset());
  }
}

std::string last_lines(const std::vector<std::string>& trace) {
  constexpr size_t kShown = 24;
  std::string s;
  const size_t from = trace.size() > kShown ? trace.size() - kShown : 0;
  if (!trace.empty()) s = from == 0 ? "\n  before it:" : "\n  the last of what was before it:";
  for (size_t i = from; i < trace.size(); ++i)
    s += "\n  " + trace[i];
  return s;
}

std::string at_place(const std::string& path, const ScriptError& e) {
  return path + ":" + std::to_string(e.place.line) + ":" + std::to_string(e.place.column) + ": " + e.what();
}

}  // namespace

Outcome run_text(const std::string& path, std::string_view text, const RunOptions& options) {
  Outcome out;
  const auto failed = [&](const std::string& report) {
    out.kind = Outcome::Kind::kFailed;
    out.report = report;
    return out;
  };
  try {
    Settings settings(options.variant);
    const Script script = parse_script(path, text, settings.definitions(options.definitions));
    if (!settings.read(script)) {
      out.kind = Outcome::Kind::kSkipped;
      out.report = settings.why_not();
      return out;
    }
    std::string why;
    const std::unique_ptr<Target> target = options.make_target(settings.network(), why);
    if (target == nullptr) {
      out.kind = Outcome::Kind::kSkipped;
      out.report = why;
      return out;
    }
    Run run(script, settings, options, *target);
    try {
      run.run();
    } catch (const Inconclusive& e) {
      out.kind = Outcome::Kind::kSkipped;
      out.is_late = e.is_late;
      out.report = at_place(path, e);
      return out;
    } catch (const ScriptError& e) {
      out.trace = run.trace();
      out.events = run.events();
      return failed(at_place(path, e) + last_lines(out.trace));
    }
    out.trace = std::move(run.trace());
    out.events = run.events();
  } catch (const ScriptError& e) {
    return failed(at_place(path, e));
  }
  return out;
}

Outcome run_script(const std::string& path, const RunOptions& options) {
  std::ifstream in(path);
  if (!in) {
    Outcome out;
    out.kind = Outcome::Kind::kFailed;
    out.report = path + ": cannot be read";
    return out;
  }
  std::stringstream text;
  text << in.rdbuf();
  return run_text(path, text.str(), options);
}

}  // namespace leat::drill
