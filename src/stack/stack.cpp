// Stack: configuration and the turn. The socket calls are in stack_calls.cpp.
#include "leat/stack.h"

#include <new>
#include <utility>

#include "ip/netif.h"
#include "link/loopback.h"
#include "netns/memory_limits.h"
#include "stack/stack_impl.h"

namespace leat {
namespace {

uint32_t ehash_entries_of(const StackConfig& config) {
  if (config.ehash_entries != 0) return config.ehash_entries;
  return config.memory != 0 ? ehash_entries_for(config.memory) : tcp::Tcp::Config{}.ehash_entries;
}

}  // namespace

Stack::Impl::Impl(const StackConfig& config)
    : ns(config.seed),
      ip(ns, pool),
      tcp(ns, pool, ip, tcp::Tcp::Config{ehash_entries_of(config)}),
      udp(ns, pool, ip),
      sockets(ns, ip, tcp, udp, socket::Sockets::Config{config.max_files, config.privileged, config.epoch}) {
  if (config.memory != 0) set_defaults(ns.sysctl, memory_limits(config.memory));
}

uint32_t ehash_entries_for(uint64_t memory_bytes) {
  return memory_limits(memory_bytes).ehash_entries;
}

Stack::Stack(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Stack::~Stack() = default;

Result<std::unique_ptr<Stack>> Stack::create(const StackConfig& config) {
  if (config.max_files == 0) return err(EINVAL);
  std::unique_ptr<Impl> impl(new (std::nothrow) Impl(config));
  if (impl == nullptr) return err(ENOMEM);
  std::unique_ptr<Stack> stack(new (std::nothrow) Stack(std::move(impl)));
  if (stack == nullptr) return err(ENOMEM);
  for (const auto& [name, value] : config.sysctls) {
    if (auto ok = stack->set_sysctl(name, value); !ok) return std::unexpected(ok.error());
  }
  const auto limit = stack->set_file_limit(config.max_files, config.max_files);
  if (!limit) return std::unexpected(limit.error());
  if (config.with_loopback) {
    const auto lo = stack->add_link("lo", std::make_unique<LoopbackLink>());
    if (!lo) return std::unexpected(lo.error());
    for (const char* cidr : {"127.0.0.1/8", "::1/128"}) {
      const auto ok = stack->add_address(*lo, cidr);
      if (!ok && ok.error() != Errno{EEXIST}) return std::unexpected(ok.error());
    }
  }
  return stack;
}

// --- configuration
// ----------------------------------------------------------------------------------------------------

Result<int> Stack::add_link(std::string name, std::unique_ptr<Link> link) {
  if (link == nullptr || name.empty() || name.size() > 15) return err(EINVAL);
  if (impl_->ip.interface(name) != nullptr) return err(EEXIST);
  const int ifindex = impl_->ip.add_interface(std::move(name), std::move(link));
  impl_->link_generation.fetch_add(1, std::memory_order_release);
  return ifindex;
}

Result<void> Stack::add_address(int ifindex, std::string_view text) {
  const auto cidr = Cidr::parse(text);
  if (!cidr) return std::unexpected(cidr.error());
  if (ifindex <= 0 || ifindex > UINT16_MAX) return err(ENODEV);
  return impl_->ip.add_address(static_cast<uint16_t>(ifindex), *cidr);
}

Result<void> Stack::remove_address(int ifindex, std::string_view text) {
  const auto cidr = Cidr::parse(text);
  if (!cidr) return std::unexpected(cidr.error());
  if (ifindex <= 0 || ifindex > UINT16_MAX) return err(ENODEV);
  return impl_->ip.remove_address(static_cast<uint16_t>(ifindex), *cidr);
}

namespace {

Result<Cidr> parse_destination(std::string_view text, const IpAddress& gateway) {
  if (text != "default") return Cidr::parse(text);
  return Cidr{IpAddress::any(gateway.is_v6() ? Family::kIpv6 : Family::kIpv4), 0};
}

}  // namespace

Result<void> Stack::add_route(std::string_view destination, std::string_view gateway, const RouteOptions& o) {
  ip::RouteSpec spec;
  if (!gateway.empty()) {
    const auto address = IpAddress::parse(gateway);
    if (!address) return std::unexpected(address.error());
    spec.gateway = *address;
  }
  const auto to = parse_destination(destination, spec.gateway);
  if (!to) return std::unexpected(to.error());
  spec.destination = *to;
  if (!o.source.empty()) {
    const auto source = IpAddress::parse(o.source);
    if (!source) return std::unexpected(source.error());
    spec.preferred_source = *source;
  }
  if (o.ifindex < 0 || o.ifindex > UINT16_MAX) return err(ENODEV);
  spec.ifindex = static_cast<uint16_t>(o.ifindex);
  if (!o.interface.empty()) {
    const auto index = ifindex(o.interface);
    if (!index) return std::unexpected(index.error());
    spec.ifindex = static_cast<uint16_t>(*index);
  }
  spec.metric = o.metric;
  spec.mtu = o.mtu;
  spec.mtu_locked = o.mtu_locked;
  spec.advmss = o.advmss;
  spec.initcwnd = o.initcwnd;
  spec.initrwnd = o.initrwnd;
  spec.window = o.window;
  spec.rto_min_ms = o.rto_min_ms;
  spec.quickack = o.quickack;
  return impl_->ip.add_route(spec);
}

Result<void> Stack::remove_route(std::string_view destination) {
  const auto to = parse_destination(destination, {});
  return to ? impl_->ip.remove_route(*to) : std::unexpected(to.error());
}

Result<int> Stack::ifindex(std::string_view name) const {
  const ip::Netif* n = impl_->ip.interface(std::string(name));
  if (n == nullptr) return err(ENODEV);
  return int{n->ifindex()};
}

Result<std::string> Stack::get_sysctl(std::string_view name) const {
  return impl_->ns.get_sysctl(name);
}

Result<void> Stack::set_sysctl(std::string_view name, std::string_view value) {
  return impl_->ns.set_sysctl(name, value);
}

std::vector<std::string> Stack::sysctl_names() const {
  return impl_->ns.sysctl_names();
}

Result<void> Stack::set_file_limit(uint32_t soft, uint32_t hard) {
  return impl_->sockets.set_file_limit(soft, hard);
}

std::pair<uint32_t, uint32_t> Stack::file_limit() const {
  return impl_->sockets.file_limit();
}

std::vector<Counter> Stack::counters() const {
  std::vector<Counter> all;
  for (int i = 0; i < static_cast<int>(Mib::kCount); ++i) {
    const auto m = static_cast<Mib>(i);
    all.push_back({mib_info(m).group, mib_info(m).name, impl_->ns.counter(m)});
  }
  return all;
}

uint64_t Stack::counter(std::string_view name) const {
  for (int i = 0; i < static_cast<int>(Mib::kCount); ++i) {
    const MibInfo& info = mib_info(static_cast<Mib>(i));
    const std::string_view group = info.group;
    if (name.starts_with(group) && name.substr(group.size()) == info.name)
      return impl_->ns.counter(static_cast<Mib>(i));
  }
  return 0;
}

// --- the turn
// -----------------------------------------------------------------------------------------------------------

bool Stack::poll(Time now) {
  return impl_->turn(now);
}

// What a turn sends over the loopback interface or a memory link may bring answers at the same time: a few passes
// bring most exchanges to rest.
bool Stack::Impl::turn(Time now) {
  constexpr int kPasses = 16;
  const auto budget = static_cast<size_t>(std::max<int64_t>(ns.sysctl.netdev_budget, 1));
  ns.set_now(now);
  bool has_more = true;
  for (int i = 0; i < kPasses && has_more; ++i) {
    has_more = pass(now, budget, i + 1 == kPasses);
    if (!has_more) has_more = next_deadline() <= ns.now();
  }
  return has_more;
}

// What has arrived is looked at before timers fire: an acknowledgement that waits in a device is not late.
bool Stack::Impl::pass(Time now, size_t budget, bool is_last) {
  bool has_more = false;
  const size_t interfaces = ip.interface_count();
  for (size_t i = 1; i <= interfaces; ++i) {
    SpinLock& lock = receiving[i % kReceivers];
    if (!lock.try_lock()) continue;
    has_more |= ip.receive(static_cast<uint16_t>(i), budget) >= budget;
    lock.unlock();
  }
  if ((!has_more || is_last) && timing.try_lock()) {
    tcp.on_time(std::max(now, ns.now()));
    ip.on_timer();
    tcp.end_turn();
    give_memory_back();
    timing.unlock();
  }
  ip.flush();
  return has_more;
}

// After a burst most of the memory of what was awake is free: once a second it is looked at.
void Stack::Impl::give_memory_back() {
  const int64_t second = ns.now().ns() / 1'000'000'000;
  if (std::exchange(looked_at, second) == second) return;
  bool has_more = tcp.give_memory_back();
  has_more |= sockets.give_memory_back();
  looks_again.store(has_more ? Time::from_ns((second + 1) * 1'000'000'000) : Time::never(), std::memory_order_relaxed);
}

Time Stack::Impl::next_deadline() const {
  return std::min({tcp.next_deadline(), ip.next_deadline(), looks_again.load(std::memory_order_relaxed)});
}

Time Stack::next_deadline() const {
  return impl_->next_deadline();
}

std::vector<int> Stack::poll_fds() const {
  std::vector<int> fds;
  for (size_t i = 1; i <= impl_->ip.interface_count(); ++i) {
    const ip::Netif* n = impl_->ip.interface(static_cast<uint16_t>(i));
    if (n != nullptr && n->link().poll_fd() >= 0) fds.push_back(n->link().poll_fd());
  }
  return fds;
}

void Stack::set_runner(Runner* runner) {
  impl_->sockets.set_runner(runner);
}

}  // namespace leat
