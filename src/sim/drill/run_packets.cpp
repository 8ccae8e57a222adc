// Packets that a script injects, and those that it expects. See run.h.
#include "sim/drill/run.h"
#include "wire/tcp.h"

namespace leat::drill {
namespace {

using Kind = EventTime::Kind;

constexpr int64_t kLookOnUs = 5'000'000;       // after a packet failed to come: does it come late?
constexpr int64_t kAnyTimeUs = 3'600'000'000;  // how long * waits, in virtual time
constexpr int64_t kAnyTimeRealUs = 60'000'000;

}  // namespace

Conversation& Run::conversation_for(const Event& e) {
  const PacketSpec& p = e.packet;
  const bool is_tcp = p.protocol == PacketSpec::Protocol::kTcp;
  const uint16_t named = is_tcp ? (p.is_inbound ? p.src_port : p.dst_port) : uint16_t{0};
  if (Conversation* peer = named != 0 ? session_.find_peer(named) : nullptr) {
    peer->is_named = true;
    session_.current = peer;
    return *peer;
  }
  Conversation* c = session_.current;
  const bool begins = c == nullptr || c->state == Conversation::State::kListening || named != 0;
  if (is_tcp && p.is_inbound && begins) {
    Conversation& child = session_.accept_peer();
    child.set_remote_isn(p.seq);
    if (named != 0) child.ends.remote_port = named;
    child.is_named = named != 0;
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
    for (auto at = sent_.begin(); at != sent_.end();) {
      Conversation& c = *session_.current;
      if (c.is_from_here(*at)) {
        c.learn(*at, script);
        out = std::move(*at);
        sent_.erase(at);
        return true;
      }
      if (session_.is_of_another_peer(*at)) {
        ++at;
        continue;
      }
      note(at->at.us() - start_us_, "(not of this socket: " + to_string_spec(at->spec) + ")");
      at = sent_.erase(at);
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

}  // namespace leat::drill
