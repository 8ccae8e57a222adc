// System calls of a script: at once, or blocking while the script goes on. See run.h.
#include <algorithm>
#include <cstdlib>

#include "sim/drill/call_values.h"
#include "sim/drill/run.h"
#include "sim/drill/symbols.h"

namespace leat::drill {

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

}  // namespace leat::drill
