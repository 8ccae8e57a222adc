#include "tcp/timestamping.h"

#include <sys/epoll.h>

#include "inet/sock_lock.h"
#include "tcp/input.h"
#include "tcp/tcp.h"

namespace leat::tcp {
namespace {

constexpr uint32_t kCharge = 832;  // the truesize of an empty packet, which Linux queues

Stamping* stamping_of(Conn& c) {
  if (c.stamping == nullptr) c.stamping.reset(new (std::nothrow) Stamping);
  return c.stamping.get();
}

void report(Conn& c, StampKind kind, Seq last) {
  Stamping& s = *c.stamping;
  const uint64_t charged = c.rmem_alloc + (s.reports.size() + 1) * kCharge;
  if (charged >= static_cast<uint64_t>(c.sk.rcvbuf)) return;
  const bool has_key = (c.sk.options->timestamping & inet::kStampOptId) != 0;
  s.reports.push_back({kind, has_key ? last - s.first : 0, c.tcp.now()});
  c.effects.events |= EPOLLERR;
}

}  // namespace

Result<void> start_stamping(Conn& c, uint32_t old, uint32_t flags) {
  if ((flags & inet::kStampOptId) == 0 || (old & inet::kStampOptId) != 0) return {};
  if (in_state(c.state(), {State::kListen, State::kClose})) return err(EINVAL);
  Stamping* s = stamping_of(c);
  if (s == nullptr) return err(ENOMEM);
  s->first = (flags & inet::kStampOptIdTcp) != 0 ? c.write_seq : c.snd_una;
  return {};
}

// As in Linux a segment reports one write, the last of those whose end it carries.
void stamp_write(Conn& c) {
  const uint32_t flags = c.sk.options->timestamping;
  if ((flags & inet::kStampTx) == 0) return;
  Stamping* s = stamping_of(c);
  if (s == nullptr) return;
  if (Packet* tail = c.write_queue.back(); tail != nullptr) {
    while (!s->marks.empty() && !before(s->marks.back().last, tx_segment(*tail).seq))
      s->marks.pop_back();
  }
  s->marks.push_back({c.write_seq - 1, flags});
}

void stamp_sent(Conn& c, const TxSegment& t) {
  for (const Stamping::Mark& m : c.stamping->marks) {
    if (!before(m.last, t.end_seq)) return;
    if (before(m.last, t.seq)) continue;
    if ((m.flags & inet::kStampTxSched) != 0) report(c, StampKind::kScheduled, m.last);
    if ((m.flags & inet::kStampTxSoftware) != 0) report(c, StampKind::kSent, m.last);
  }
}

bool is_stamped(const Conn& c, const TxSegment& t) {
  for (const Stamping::Mark& m : c.stamping->marks) {
    if (!before(m.last, t.seq)) return before(m.last, t.end_seq);
  }
  return false;
}

void stamp_acked(Conn& c) {
  auto& marks = c.stamping->marks;
  for (; !marks.empty() && before(marks.front().last, c.snd_una); marks.pop_front()) {
    if ((marks.front().flags & inet::kStampTxAck) != 0) report(c, StampKind::kAcked, marks.front().last);
  }
}

Result<void> Tcp::set_timestamping(TcpSock& s, uint32_t old, uint32_t flags) {
  Conn* c = wake(s);
  return c != nullptr ? start_stamping(*c, old, flags) : err(ENOMEM);
}

Result<StampReport> Tcp::take_stamp(TcpSock& s) {
  inet::SockLock lock(s, &drain_backlog);
  Conn* c = s.conn;  // who sleeps has none
  if (c == nullptr || c->stamping == nullptr || c->stamping->reports.empty()) return err(EAGAIN);
  const StampReport r = c->stamping->reports.front();
  c->stamping->reports.pop_front();
  return r;
}

}  // namespace leat::tcp
