// A computer in the simulation: a Stack, the ports to its links, and a Poller for the applications on it.
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "leat/socket.h"
#include "leat/stack.h"
#include "sim/clock.h"
#include "sim/port.h"

namespace leat::sim {

class Host {
 public:
  Host(std::string name, const Clock& clock, const StackConfig& config);

  // Addresses with their prefix, "10.0.0.1/24".
  void attach(std::unique_ptr<Link> link, std::initializer_list<std::string_view> addresses);

  const std::string& name() const { return name_; }
  Stack& stack() { return *stack_; }
  Poller& poller() { return *poller_; }
  const Clock& clock() const { return clock_; }

  Time next_event() const;  // of its timers, its links and its applications, on the network's time
  bool is_due() const { return next_event() <= clock_.now(); }
  // A turn of the stack and then of the applications that it woke.
  void run();
  // An application was changed from outside (by a timer of its own): it is to be looked at.
  void touch() { is_touched_ = true; }
  void forget_connections();  // as if the power failed: without a word to the peer that would still arrive

  // Sockets, requests, time-waits, packets: what is in use, by name; empty when nothing is.
  std::string objects_left() const;

 private:
  const std::string name_;
  const Clock& clock_;
  std::unique_ptr<Stack> stack_;
  std::unique_ptr<Poller> poller_;
  std::vector<Port*> ports_;  // owned by the stack
  bool is_touched_ = false;
};

}  // namespace leat::sim
