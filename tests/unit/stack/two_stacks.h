// Two Stacks joined by a memory link, on a clock that the test turns.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "leat/socket.h"
#include "leat/stack.h"
#include "link/memory_link.h"

namespace leat {

inline StackConfig config_with_seed(uint8_t seed) {
  StackConfig c;
  c.seed.fill(seed);
  return c;
}

struct TwoStacks : testing::Test {
  Time now = Time::from_ns(1'000'000'000);
  std::unique_ptr<Stack> a = Stack::create(config_with_seed(1)).value();
  std::unique_ptr<Stack> b = Stack::create(config_with_seed(2)).value();

  TwoStacks() {
    auto [left, right] = make_memory_pair();
    join(*a, std::move(left), "10.0.0.1/24", "fd00::1/64");
    join(*b, std::move(right), "10.0.0.2/24", "fd00::2/64");
    settle();
  }
  static void join(Stack& s, std::unique_ptr<Link> link, const char* v4, const char* v6) {
    const int ifindex = s.add_link("mem0", std::move(link)).value();
    EXPECT_TRUE(s.add_address(ifindex, v4));
    EXPECT_TRUE(s.add_address(ifindex, v6));
  }
  // Until nothing happens at this time any more.
  void settle() {
    for (int i = 0; i < 1000; ++i) {
      a->poll(now);
      b->poll(now);
      if (a->next_deadline() > now && b->next_deadline() > now) return;
    }
    ADD_FAILURE() << "no rest at " << now.ns();
  }
  void advance(Duration d) {
    const Time end = now + d;
    for (int i = 0; i < 100000; ++i) {
      const Time next = std::min(a->next_deadline(), b->next_deadline());
      if (next > end) break;
      now = std::max(now, next);
      settle();
    }
    now = end;
    settle();
  }
};

inline std::span<const uint8_t> bytes(std::string_view s) {
  return {reinterpret_cast<const uint8_t*>(s.data()), s.size()};
}

inline std::string read_some(Socket& s, size_t room = 65536) {
  std::string text(room, '\0');
  const auto n = s.stack().recv(s.fd(), text.data(), room, MSG_DONTWAIT);
  text.resize(n.value_or(0));
  return text;
}

}  // namespace leat
