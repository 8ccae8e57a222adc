// The events of a script one after the other, each at its time; commands, inline code and the end. See run.h.
#include "sim/drill/run.h"

#include <algorithm>
#include <cstdio>

#include "sim/drill/symbols.h"

namespace leat::drill {
namespace {

using Kind = EventTime::Kind;

constexpr int64_t kEventUs = 10;  // what an event takes at least: two are never at once, as in life
constexpr int kSolTcp = 6, kTcpInfo = 11;

}  // namespace

std::string seconds(int64_t us) {
  char text[40];
  std::snprintf(text, sizeof text, "%.6f", static_cast<double>(us) / 1e6);
  return text;
}

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
  if (!script_.cleanup_command.empty()) command(script_.cleanup_command, script_.cleanup_place);
  ++events_;
}

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
  const int fd = session_.descriptor_under_test();
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

}  // namespace leat::drill
