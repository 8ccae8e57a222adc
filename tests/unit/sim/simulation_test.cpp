#include "sim/simulation.h"

#include <gtest/gtest.h>

#include "sim/party.h"
#include "sim/wire.h"

namespace leat::sim {
namespace {

StackConfig config_of(uint8_t seed) {
  StackConfig c;
  c.seed.fill(seed);
  return c;
}

struct TwoHosts : testing::Test {
  std::unique_ptr<Wire> wire;
  Simulation simulation;
  Host& left = simulation.add_host("left", config_of(1));
  Host& right = simulation.add_host("right", config_of(2));
  std::unique_ptr<Talk> asks, answers;

  void plug(const WireOptions& options) { wire = std::make_unique<Wire>(left, right, options, 1); }
  Duration talk(uint32_t rounds) {
    Talk::Options o{Pattern(1), Pattern(2), rounds, 100, 1000, true};
    asks = std::make_unique<Talk>(left, o);
    o.asks = false;
    answers = std::make_unique<Talk>(right, o);
    Acceptor acceptor(right, "fd00::2", 7, [this](Socket s) { answers->start(std::move(s)); });
    Dialer dialer(simulation, left, "fd00::2", 7, [this](Socket s) { asks->start(std::move(s)); });
    const Time began = simulation.clock().now();
    dialer.dial();
    const auto end =
        simulation.run([this] { return asks->is_done() && answers->is_done(); }, began + Duration::from_s(3600));
    EXPECT_STREQ(to_string(end), "done");
    EXPECT_EQ(asks->failure() + answers->failure(), "");
    return simulation.clock().now() - began;
  }
};

TEST_F(TwoHosts, CallsComeInOrderOfTimeAndThenOfAsking) {
  std::string order;
  simulation.after(Duration::from_ms(2), [&] { order += 'c'; });
  simulation.after(Duration::from_ms(1), [&] { order += 'a'; });
  simulation.after(Duration::from_ms(1), [&] { order += 'b'; });
  simulation.run_for(Duration::from_ms(3));
  EXPECT_EQ(order, "abc");
}

TEST_F(TwoHosts, AtRestNothingIsLeftToHappen) {
  plug({});
  EXPECT_EQ(simulation.run([] { return false; }, simulation.clock().now() + Duration::from_s(1)),
            Simulation::End::kNothingLeft);
}

TEST_F(TwoHosts, ATalkTakesARoundTripForTheHandshakeForEachRoundAndForTheEnd) {
  WireOptions o;
  o.to_right.delay = o.to_left.delay = Duration::from_ms(10);
  plug(o);
  const Duration took = talk(50);
  EXPECT_EQ(asks->rounds(), 50u);
  EXPECT_GE(took, Duration::from_ms(20 * 51 + 10));
  EXPECT_LE(took, Duration::from_ms(20 * 51 + 11));
}

TEST_F(TwoHosts, ATalkOverABadLinkLosesNothing) {
  WireOptions o;
  o.to_right.delay = o.to_left.delay = Duration::from_ms(1);
  o.to_right.loss = o.to_left.loss = 0.1;
  plug(o);
  talk(100);
  EXPECT_EQ(asks->rounds(), 100u);
  EXPECT_GT(wire->to_right().lost, 5u);
  wire->heal();
  asks.reset();
  answers.reset();
  simulation.run_for(Duration::from_s(120));
  EXPECT_EQ(left.objects_left() + right.objects_left(), "");
}

TEST_F(TwoHosts, AHealedWireLosesNothingAnyMore) {
  WireOptions o;
  o.to_right.loss = 1;
  plug(o);
  Acceptor acceptor(right, "10.0.0.2", 7, [](Socket) {});
  bool is_connected = false;
  Dialer dialer(simulation, left, "10.0.0.2", 7, [&](Socket) { is_connected = true; });
  dialer.dial();
  simulation.run_for(Duration::from_ms(2500));
  EXPECT_EQ(wire->to_right().lost, 3u);  // at 0 s, 1 s and 2 s
  EXPECT_FALSE(is_connected);
  wire->heal();
  simulation.run_for(Duration::from_ms(1000));
  EXPECT_TRUE(is_connected);
}

}  // namespace
}  // namespace leat::sim
