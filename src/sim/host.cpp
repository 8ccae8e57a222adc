#include "sim/host.h"

#include <algorithm>

#include "base/check.h"
#include "diag/snapshot.h"

namespace leat::sim {

Host::Host(std::string name, const Clock& clock, const StackConfig& config)
    : name_(std::move(name)), clock_(clock), stack_(Stack::create(config).value()) {
  stack_->poll(clock_.reading());
  poller_ = std::make_unique<Poller>(*stack_);
}

void Host::attach(std::unique_ptr<Link> link, std::initializer_list<std::string_view> addresses) {
  auto port = std::make_unique<Port>(std::move(link), clock_);
  ports_.push_back(port.get());
  const int ifindex = stack_->add_link("sim" + std::to_string(ports_.size() - 1), std::move(port)).value();
  for (const std::string_view address : addresses)
    LEAT_CHECK(stack_->add_address(ifindex, address).has_value());
}

Time Host::next_event() const {
  if (is_touched_) return clock_.now();
  const Time deadline = stack_->next_deadline();
  Time next = deadline <= clock_.reading() ? clock_.now() : deadline;
  for (const Port* port : ports_)
    next = std::min(next, port->network_event());
  return next;
}

void Host::run() {
  is_touched_ = stack_->poll(clock_.reading());
  if (poller_->dispatch().value_or(0) > 0) is_touched_ = true;
}

void Host::forget_connections() {
  (void)diag::destroy_sockets(*stack_, [](const diag::SocketRow&) { return true; });
  stack_->poll(clock_.reading());
}

std::string Host::objects_left() const {
  std::string left;
  for (const diag::SlabRow& row : diag::slabs(*stack_)) {
    const uint64_t own = row.name == "file" || row.name == "fdtable" ? 1 : 0;  // the Poller's
    if (row.in_use > own) left += " " + row.name + "=" + std::to_string(row.in_use - own);
  }
  return left;
}

}  // namespace leat::sim
