#include "tcp/memory.h"

#include <algorithm>

namespace leat::tcp {
namespace {

constexpr int32_t kMinSndbuf = 4608;  // Linux's SOCK_MIN_SNDBUF

uint32_t pages_of(const Conn& c) {
  const int64_t bytes = int64_t{c.rmem_alloc} + c.wmem_queued + c.forward_alloc;
  return static_cast<uint32_t>((std::max<int64_t>(bytes, 0) + kMemoryPage - 1) / kMemoryPage);
}

void enter_pressure(Tcp& tcp) {
  if (tcp.counts.under_pressure.exchange(true, std::memory_order_relaxed)) return;
  tcp.counts.pressure_since_ms.store(tcp.now().ms(), std::memory_order_relaxed);
  tcp.count(Mib::TcpExtTCPMemoryPressures);
}

void leave_pressure(Tcp& tcp) {
  if (!tcp.counts.under_pressure.exchange(false, std::memory_order_relaxed)) return;
  const int64_t since = tcp.counts.pressure_since_ms.load(std::memory_order_relaxed);
  tcp.count(Mib::TcpExtTCPMemoryPressuresChrono, static_cast<uint64_t>(std::max<int64_t>(tcp.now().ms() - since, 0)));
}

void charge(Conn& c, int64_t pages) {
  Tcp& tcp = c.tcp;
  const int64_t total = count_up(tcp.counts.memory_pages, pages) + pages;
  if (pages > 0 && total > tcp.ns.sysctl.tcp_mem[1].as<int64_t>()) enter_pressure(tcp);
  const bool is_under = tcp.counts.under_pressure.load(std::memory_order_relaxed);
  if (is_under && total < tcp.ns.sysctl.tcp_mem[0].as<int64_t>()) leave_pressure(tcp);
}

bool is_beyond_high(const Conn& c) {
  const int64_t high = c.tcp.ns.sysctl.tcp_mem[2].as<int64_t>();
  const int64_t mine = int64_t{pages_of(c)} - int64_t{c.charged_pages};  // of this event, not yet charged
  return c.tcp.counts.memory_pages.load(std::memory_order_relaxed) + mine > high;
}

}  // namespace

void account_memory(Conn& c) {
  const uint32_t pages = pages_of(c);
  if (pages <= c.charged_pages && pages + 2 > c.charged_pages) return;
  const uint32_t keep = pages < c.charged_pages ? std::max(pages, 1u) : pages;
  const int64_t more = int64_t{keep} - int64_t{c.charged_pages};
  c.charged_pages = keep;
  charge(c, more);
}

void uncharge_memory(Conn& c) {
  if (c.charged_pages == 0) return;
  charge(c, -int64_t{c.charged_pages});
  c.charged_pages = 0;
}

bool may_queue_received(const Conn& c) {
  return c.rmem_alloc < c.tcp.ns.sysctl.tcp_rmem[0].as<uint32_t>() || !is_beyond_high(c);
}

// Linux's sk_stream_moderate_sndbuf: half of what is queued must leave before the writer hears of room.
bool may_queue_to_send(Conn& c) {
  if (c.wmem_queued < c.tcp.ns.sysctl.tcp_wmem[0].as<int32_t>() || !is_beyond_high(c)) return true;
  enter_pressure(c.tcp);
  if ((c.sk.buf_lock & inet::kBufLockSend) == 0) {
    c.sk.sndbuf = std::max(std::min(c.sk.sndbuf, c.wmem_queued >> 1), kMinSndbuf);
  }
  return false;
}

}  // namespace leat::tcp
