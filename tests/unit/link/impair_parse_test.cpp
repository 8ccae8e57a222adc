// The SPEC text: what it says, and what it says back when it is wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "link/impair_options.h"

namespace leat {
namespace {

using testing::HasSubstr;

std::string error_of(std::string_view text) {
  std::string error;
  auto options = parse_impair(text, error);
  EXPECT_FALSE(options.has_value()) << text;
  EXPECT_EQ(options.has_value() ? Errno{} : options.error(), Errno{EINVAL});
  return error;
}

TEST(ParseImpair, ReadsEveryKeyOfTheFullText) {
  std::string error;
  const auto o = parse_impair(
      "delay=10ms,jitter=2ms,loss=1%,gemodel=1%/10%/70%/0.1%,rate=50mbit,reorder=0.1%,duplicate=0.5%,corrupt=0.25%,"
      "limit=1000,limit_bytes=1mb,ecn=100kb",
      error);
  ASSERT_TRUE(o.has_value()) << error;
  EXPECT_EQ(error, "");
  EXPECT_EQ(o->delay, Duration::from_ms(10));
  EXPECT_EQ(o->jitter, Duration::from_ms(2));
  EXPECT_DOUBLE_EQ(o->loss, 0.01);
  EXPECT_TRUE(o->has_gilbert_elliott);
  EXPECT_DOUBLE_EQ(o->gilbert_elliott.good_to_bad, 0.01);
  EXPECT_DOUBLE_EQ(o->gilbert_elliott.bad_to_good, 0.10);
  EXPECT_DOUBLE_EQ(o->gilbert_elliott.loss_in_bad, 0.70);
  EXPECT_DOUBLE_EQ(o->gilbert_elliott.loss_in_good, 0.001);
  EXPECT_EQ(o->rate, 50'000'000u);
  EXPECT_DOUBLE_EQ(o->reorder, 0.001);
  EXPECT_DOUBLE_EQ(o->duplicate, 0.005);
  EXPECT_DOUBLE_EQ(o->corrupt, 0.0025);
  EXPECT_EQ(o->limit_packets, 1000u);
  EXPECT_EQ(o->limit_bytes, 1'048'576u);
  EXPECT_EQ(o->ecn_bytes, 102'400u);
  EXPECT_TRUE(o->keep_order);
  EXPECT_EQ(o->direction, ImpairDirection::kTransmit);
}

TEST(ParseImpair, ReadsTheRarerKeysUnitsAndBlanks) {
  std::string error;
  const auto o = parse_impair(
      " delay = 1.5ms , jitter=250us, "
      "keep_order=no,reorder=1%,reorder_delay=2s,direction=both,rate=1.5gbit,ecn_packets=20 ",
      error);
  ASSERT_TRUE(o.has_value()) << error;
  EXPECT_EQ(o->delay, Duration::from_us(1500));
  EXPECT_EQ(o->jitter, Duration::from_us(250));
  EXPECT_FALSE(o->keep_order);
  EXPECT_EQ(o->reorder_delay, Duration::from_s(2));
  EXPECT_EQ(o->direction, ImpairDirection::kBoth);
  EXPECT_EQ(o->rate, 1'500'000'000u);
  EXPECT_EQ(o->ecn_packets, 20u);
  EXPECT_EQ(parse_impair("delay=7ns", error)->delay, Duration::from_ns(7));
  EXPECT_EQ(parse_impair("direction=in", error)->direction, ImpairDirection::kReceive);
}

TEST(ParseImpair, AnEmptyTextImpairsNothing) {
  std::string error = "old";
  for (const char* text : {"", "  ", "delay=0,loss=0"}) {
    const auto o = parse_impair(text, error);
    ASSERT_TRUE(o.has_value());
    EXPECT_EQ(o->delay, Duration{});
    EXPECT_EQ(error, "");
  }
}

TEST(ParseImpair, TheGilbertElliottModelHasTcsDefaults) {
  std::string error;
  const auto o = parse_impair("gemodel=5%", error)->gilbert_elliott;
  EXPECT_DOUBLE_EQ(o.bad_to_good, 0.95);
  EXPECT_DOUBLE_EQ(o.loss_in_bad, 1.0);
  EXPECT_DOUBLE_EQ(o.loss_in_good, 0.0);
}

TEST(ParseImpair, SaysWhatIsWrongAndWhatWasExpected) {
  EXPECT_EQ(
      error_of("dely=10ms"),
      "unknown key 'dely': expected one of delay, jitter, keep_order, loss, gemodel, rate, reorder, reorder_delay, "
      "duplicate, corrupt, limit, limit_bytes, ecn, ecn_packets, direction");
  EXPECT_EQ(error_of("delay=10"),
            "delay: '10' is wrong: expected a duration up to one hour with its unit (ns, us, ms, s), like 10ms");
  EXPECT_EQ(error_of("loss=101%"), "loss: '101%' is wrong: expected a percentage from 0% to 100%, like 0.5%");
  EXPECT_EQ(error_of("delay"), "'delay' has no '=': expected key=value, like delay=10ms");
  EXPECT_EQ(error_of("loss=1%,loss=2%"), "'loss' is given twice");
  EXPECT_EQ(error_of("loss=1%,"), "the text ends with a comma: expected key=value behind it");
  EXPECT_THAT(error_of("delay=1ms,,loss=1%"), HasSubstr("'' has no '='"));
  EXPECT_THAT(error_of("rate=50mbps"), HasSubstr("expected a rate above zero with its unit (bit, kbit, mbit, gbit"));
  EXPECT_THAT(error_of("gemodel=1%/2%/3%/4%/5%"), HasSubstr("one to four percentages"));
  EXPECT_THAT(error_of("gemodel=1%/"), HasSubstr("p/r/1-h/1-k"));
  EXPECT_THAT(error_of("keep_order=1"), HasSubstr("expected yes or no"));
  EXPECT_THAT(error_of("direction=up"), HasSubstr("expected out, in or both"));
}

TEST(ParseImpair, RefusesNumbersThatAreNone) {
  for (const char* text :
       {"loss=x%",  "loss=%",     "loss=-1%",      "loss=nan%", "loss=inf%",     "loss=1e1%",       "loss=1%%",
        "delay=2h", "delay=-1ms", "delay=99999s",  "delay=ms",  "rate=0",        "rate=0.5bit",     "rate=99999gbit",
        "limit=0",  "limit=1.5",  "limit=2000000", "limit=-1",  "limit_bytes=0", "limit_bytes=1tb", "ecn=",
        "=1"})
    EXPECT_NE(error_of(text), "") << text;
}

TEST(ParseImpair, RefusesWhatWouldDoNothing) {
  EXPECT_THAT(error_of("ecn=100kb"), HasSubstr("ecn needs rate"));
  EXPECT_THAT(error_of("reorder=1%"), HasSubstr("reorder needs delay"));
  EXPECT_THAT(error_of("reorder_delay=1ms"), HasSubstr("reorder_delay needs reorder"));
}

}  // namespace
}  // namespace leat
