// See impair_queue.h for the drawing. The order of the steps is netem's: loss, duplication, corruption, then the queue.
#include "link/impair_queue.h"

#include <algorithm>
#include <utility>

#include "link/packet_damage.h"

namespace leat {
namespace {

constexpr size_t kDefaultQueue = 1000;    // Linux's txqueuelen and netem's limit
constexpr size_t kMaxInLine = 1'000'000;  // delayed packets are bounded whatever is asked for

Seed stream_seed(Seed seed, uint8_t stream) {
  seed[31] = static_cast<uint8_t>(seed[31] ^ stream);
  return seed;
}

bool has_chance(Rng& rng, double probability) {
  return probability > 0 && rng.next32() < static_cast<uint64_t>(probability * 4294967296.0);
}

}  // namespace

ImpairQueue::ImpairQueue(const ImpairOptions& options, LinkKind kind, const Seed& seed)
    : options_(options),
      kind_(kind),
      loss_rng_(stream_seed(seed, 1)),
      order_rng_(stream_seed(seed, 2)),
      duplicate_rng_(stream_seed(seed, 3)),
      corrupt_rng_(stream_seed(seed, 4)),
      jitter_rng_(stream_seed(seed, 5)) {}

ImpairQueue::~ImpairQueue() {
  for (const InLine& entry : line_)
    PacketPtr{entry.packet};
}

void ImpairQueue::push(PacketPtr p, Time now) {
  ++stats_.packets;
  stats_.bytes += p->length;
  if (select_loss()) {
    ++stats_.lost;
    return;
  }
  PacketPtr second;
  if (has_chance(duplicate_rng_, options_.duplicate)) second = repeat(*p);
  enqueue(std::move(p), now);
  if (second == nullptr) return;
  ++stats_.duplicated;
  enqueue(std::move(second), now);
}

bool ImpairQueue::select_loss() {
  const bool is_lost = has_chance(loss_rng_, options_.loss);
  if (!options_.has_gilbert_elliott) return is_lost;
  const GilbertElliott& model = options_.gilbert_elliott;
  const bool is_lost_too = has_chance(loss_rng_, is_bad_ ? model.loss_in_bad : model.loss_in_good);
  if (has_chance(loss_rng_, is_bad_ ? model.bad_to_good : model.good_to_bad)) is_bad_ = !is_bad_;
  return is_lost || is_lost_too;
}

void ImpairQueue::enqueue(PacketPtr p, Time now) {
  if (has_chance(corrupt_rng_, options_.corrupt)) {
    if (PacketPtr broken = break_bit(*p, kind_, corrupt_rng_)) {
      ++stats_.corrupted;
      p = std::move(broken);
    }
  }
  empty_bottleneck(now);
  if (is_full(p->length)) {
    ++stats_.queue_drops;
    return;
  }
  const bool is_congested = (options_.ecn_bytes != 0 && bottleneck_bytes_ > options_.ecn_bytes) ||
                            (options_.ecn_packets != 0 && bottleneck_.size() > options_.ecn_packets);
  if (is_congested && mark_ce(*p, kind_)) ++stats_.ce_marked;
  const Time arrival = select_arrival(pass_bottleneck(p->length, now));
  line_bytes_ += p->length;
  line_.push_back({arrival, next_number_++, p.release()});
  std::push_heap(line_.begin(), line_.end());
}

void ImpairQueue::empty_bottleneck(Time now) {
  while (!bottleneck_.empty() && bottleneck_.front().leaves <= now) {
    bottleneck_bytes_ -= bottleneck_.front().bytes;
    bottleneck_.pop_front();
  }
}

bool ImpairQueue::is_full(uint32_t bytes) const {
  if (line_.size() >= kMaxInLine) return true;
  const bool has_rate = options_.rate != 0;
  const size_t limit = options_.limit_packets != 0 ? options_.limit_packets : has_rate ? kDefaultQueue : kMaxInLine;
  const size_t packets_held = has_rate ? bottleneck_.size() : line_.size();
  const uint64_t bytes_held = has_rate ? bottleneck_bytes_ : line_bytes_;
  return packets_held >= limit || (options_.limit_bytes != 0 && bytes_held + bytes > options_.limit_bytes);
}

// The time at which the packet's last bit has been sent.
Time ImpairQueue::pass_bottleneck(uint32_t bytes, Time now) {
  if (options_.rate == 0) return now;
  const uint64_t ns = uint64_t{bytes} * 8 * 1'000'000'000 / options_.rate;
  busy_until_ = std::max(busy_until_, now) + Duration::from_ns(static_cast<int64_t>(ns));
  bottleneck_.push_back({busy_until_, bytes});
  bottleneck_bytes_ += bytes;
  stats_.max_queue_packets = std::max<uint64_t>(stats_.max_queue_packets, bottleneck_.size());
  stats_.max_queue_bytes = std::max(stats_.max_queue_bytes, bottleneck_bytes_);
  return busy_until_;
}

Time ImpairQueue::select_arrival(Time left) {
  if (has_chance(order_rng_, options_.reorder)) {
    ++stats_.reordered;
    if (options_.reorder_delay == Duration{}) return left;
    return left + select_delay() + options_.reorder_delay;
  }
  Time arrival = left + select_delay();
  if (options_.keep_order) arrival = std::max(arrival, last_arrival_);
  last_arrival_ = arrival;
  return arrival;
}

Duration ImpairQueue::select_delay() {
  if (options_.jitter == Duration{}) return options_.delay;
  const auto spread = static_cast<uint64_t>(options_.jitter.ns()) * 2 + 1;
  const Duration offset = Duration::from_ns(static_cast<int64_t>(jitter_rng_.next64() % spread)) - options_.jitter;
  return std::max(options_.delay + offset, Duration{});
}

PacketPtr ImpairQueue::pop_due(Time now) {
  if (line_.empty() || line_.front().arrival > now) return nullptr;
  std::pop_heap(line_.begin(), line_.end());
  const InLine entry = line_.back();
  line_.pop_back();
  PacketPtr p(entry.packet);
  p->received = entry.arrival;
  line_bytes_ -= p->length;
  ++stats_.delivered;
  stats_.delivered_bytes += p->length;
  return p;
}

}  // namespace leat
