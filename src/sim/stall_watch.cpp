#include "sim/stall_watch.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>

#include "stack/stack_impl.h"
#include "tcp/info.h"

namespace leat::sim {
namespace {

constexpr Duration kLongestTimeout = Duration::from_s(120);  // TCP_RTO_MAX
// Timers count in milliseconds, some rounded up, and a delayed ACK may come between.
constexpr Duration kSlack = Duration::from_ms(50);

bool get_info(Socket& s, tcp::TcpInfo& info) {
  socklen_t length = sizeof info;
  return s.is_open() && s.stack().getsockopt(s.fd(), IPPROTO_TCP, TCP_INFO, &info, &length).has_value();
}

std::string ms(Duration d) {
  return std::to_string(d.ms()) + " ms";
}

}  // namespace

StallWatch::StallWatch(const Clock& clock, Exchange& sender, Exchange& receiver, const Options& options)
    : clock_(clock), sender_(sender), receiver_(receiver), options_(options) {}

void StallWatch::observe() {
  if (!failure_.empty()) return;
  const Seen seen = look();
  if (!seen.is_busy || !last_.is_busy) {
    begin_gap(seen);
  } else {
    if (seen.timeouts > last_.timeouts || seen.probes > last_.probes) count_timeout(seen);
    if (seen.loss_probes > last_.loss_probes) expired_ += last_.timeout;
    if (puts_timer_off(seen)) expired_ = std::max(expired_, clock_.now() - gap_began_);
    repairs_lost_ += seen.lost_retransmissions - last_.lost_retransmissions;
    longest_in_gap_ = std::max(longest_in_gap_, seen.timeout);
    check_gap();
    if (seen.progress != last_.progress) begin_gap(seen);
  }
  wakes_by_ = std::max(wakes_by_, clock_.now() + seen.timeout);
  if (seen.is_busy) check_silence(seen);
  longest_timeout_ = std::max(longest_timeout_, seen.timeout);
  last_ = seen;
}

StallWatch::Seen StallWatch::look() {
  Seen seen;
  tcp::TcpInfo info;
  if (!get_info(sender_.socket(), info)) return seen;
  seen.is_busy = info.unacked != 0 || info.notsent_bytes != 0;
  seen.progress = receiver_.receiver().received() + info.bytes_acked;
  seen.rto = seen.timeout = Duration::from_us(info.rto);
  seen.backoff = info.backoff;
  if (info.unacked == 0)
    seen.timeout = std::max(seen.timeout, std::min(seen.timeout << std::min<int>(info.backoff, 16), kLongestTimeout));
  seen.timeout += Duration::from_us(info.rtt);  // pacing puts the timer off by what a packet has to wait
  seen.timeouts = info.total_rto;
  seen.sacked = info.sacked;
  seen.segments = info.segs_in;
  seen.is_in_flight = info.unacked != 0;
  seen.probes = info.probes;
  const Netns& ns = sender_.host().stack().impl().ns;
  seen.loss_probes = ns.counter(Mib::TcpExtTCPLossProbes);
  seen.lost_retransmissions = ns.counter(Mib::TcpExtTCPLostRetransmit);
  return seen;
}

bool StallWatch::puts_timer_off(const Seen& seen) const {
  return seen.sacked > last_.sacked || (!seen.is_in_flight && seen.segments != last_.segments);
}

void StallWatch::begin_gap(const Seen& seen) {
  gap_began_ = clock_.now();
  expired_ = {};
  longest_in_gap_ = std::max(seen.timeout, wakes_by_ - clock_.now());
  repairs_lost_ = 0;
  losses_before_ = options_.losses();
  late_timeouts_ = 0;
}

void StallWatch::count_timeout(const Seen& seen) {
  constexpr uint64_t kFree = 2;
  if (expired_ > options_.round_trip + options_.pause) ++late_timeouts_;
  expired_ += last_.timeout;
  const uint64_t losses = options_.losses() - losses_before_;
  if (late_timeouts_ > losses + kFree)
    fail(std::to_string(late_timeouts_) + " time-outs without a new byte, and the network lost " +
         std::to_string(losses) + " packets meanwhile");
  if (seen.timeouts == last_.timeouts + 1) check_back_off(seen);
}

void StallWatch::check_back_off(const Seen& seen) {
  if (seen.backoff != last_.backoff + 1) return;  // an ACK came at the same time and ended it
  const Duration doubled = std::min(last_.rto * 2, kLongestTimeout);
  if (seen.rto != doubled) fail("the time-out of " + ms(last_.rto) + " was followed by one of " + ms(seen.rto));
}

void StallWatch::check_silence(const Seen& seen) {
  Host& host = sender_.host();
  const Time next = host.next_event();
  if (next == Time::never()) return fail("no timer will ever wake the sender");
  if (next > wakes_by_ + clock_.granularity() * 2 + kSlack)
    fail("the sender sleeps for " + ms(next - clock_.now()) + " with a time-out of " + ms(seen.timeout));
}

void StallWatch::check_gap() {
  const Duration gap = clock_.now() - gap_began_;
  longest_gap_ = std::max(longest_gap_, gap);
  const Duration allowed = expired_ + longest_in_gap_ * static_cast<int64_t>(1 + repairs_lost_) +
                           options_.round_trip * 2 + options_.pause + clock_.granularity() * 8 + kSlack;
  if (gap > allowed)
    fail("no new byte for " + ms(gap) + ", the time-outs allow " + ms(allowed) + " (expired " + ms(expired_) +
         ", in force " + ms(longest_in_gap_) + ", lost retransmissions " + std::to_string(repairs_lost_) + ")");
}

void StallWatch::fail(const std::string& what) {
  if (failure_.empty())
    failure_ = sender_.host().name() + " to " + receiver_.host().name() + " after " +
               std::to_string(receiver_.receiver().received()) + " bytes: " + what;
}

}  // namespace leat::sim
