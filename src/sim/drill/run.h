// One run of a script against a target: runner.cpp's inside. Time is the script's: zero is when its first event is due.
// Packets that leave are collected as time passes and wait for the event that expects them; what leaves for nobody
// known is passed over, as the language has it.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "sim/drill/calls.h"
#include "sim/drill/code.h"
#include "sim/drill/commands.h"
#include "sim/drill/runner.h"
#include "sim/drill/script_options.h"

namespace leat::drill {

std::string seconds(int64_t us);  // as scripts and reports write a time

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

}  // namespace leat::drill
