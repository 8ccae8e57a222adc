// Code of scripts: what its expressions are worth, and what is said when one does not hold.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/drill/code.h"

namespace leat::drill {
namespace {

using ::testing::HasSubstr;

class DrillCode : public ::testing::Test {
 protected:
  void run(const std::string& text) {
    Code::Context context{variables_,
                          [](const std::string& name) -> std::optional<Value> {
                            if (name == "tcpi_snd_cwnd") return int64_t{10};
                            if (name == "tcpi_lost") return int64_t{0};
                            return std::nullopt;
                          },
                          [this](const std::string& line) { printed_ += line + "\n"; }};
    parse_code(text, {1, 1})->run(context);
  }
  int64_t number(const std::string& expression) {
    run("x = " + expression);
    return std::get<int64_t>(variables_["x"]);
  }
  std::string error(const std::string& text) {
    try {
      run(text);
    } catch (const ScriptError& e) {
      return std::to_string(e.place.line) + ":" + std::to_string(e.place.column) + ": " + e.what();
    }
    return "none";
  }
  Variables variables_;
  std::string printed_;
};

TEST_F(DrillCode, operators_bind_as_in_python) {
  EXPECT_EQ(number("1 + 2 * 3"), 7);
  EXPECT_EQ(number("(1 + 2) * 3"), 9);
  EXPECT_EQ(number("1 << 2 + 1"), 8);
  EXPECT_EQ(number("6 & 3 | 8"), 10);
  EXPECT_EQ(number("6 & 3 == 2"), 1);  // & binds more tightly than ==
  EXPECT_EQ(number("not 1 == 2"), 1);
  EXPECT_EQ(number("-7 // 2"), -4);
  EXPECT_EQ(number("-7 % 2"), 1);
  EXPECT_EQ(number("~0x0f & 0xff"), 0xf0);
  EXPECT_EQ(number("5 if tcpi_lost else 6"), 6);
  EXPECT_EQ(number("max(1, 9, 3) + min(4, 2) + abs(-1)"), 12);
  EXPECT_EQ(number("abs(-1.5) == 1.5 and abs(-0x10) == 16 and int(-1.5) == -1"), 1);
  EXPECT_EQ(number("010"), 10);
}

TEST_F(DrillCode, comparisons_chain) {
  EXPECT_EQ(number("1 < 2 < 3"), 1);
  EXPECT_EQ(number("1 < 2 > 3"), 0);
  EXPECT_EQ(number("9 <= tcpi_snd_cwnd <= 11"), 1);
}

TEST_F(DrillCode, and_and_or_stop_early) {
  EXPECT_EQ(number("0 and nobody"), 0);
  EXPECT_EQ(number("7 or nobody"), 7);
}

TEST_F(DrillCode, variables_live_from_one_block_to_the_next) {
  run("cwnd = tcpi_snd_cwnd; cwnd += 1");
  run("assert cwnd == 11");
}

TEST_F(DrillCode, lines_go_on_after_a_backslash_and_within_parentheses) {
  run("assert 1 == \\\n 1; \\\n assert (2 ==\n 2)\n# a comment\nprint('a', 1 + 1)");
  EXPECT_EQ(printed_, "a 2\n");
}

TEST_F(DrillCode, strings_are_formatted_with_percent) {
  run("print('rtt=%d us, %s %%' % (tcpi_snd_cwnd, 'x'))");
  EXPECT_EQ(printed_, "rtt=10 us, x %\n");
}

TEST_F(DrillCode, an_assertion_that_fails_shows_itself_and_what_its_names_are) {
  EXPECT_EQ(error("print(1)\n  assert tcpi_snd_cwnd == 11 and tcpi_lost == 0, tcpi_snd_cwnd"),
            "2:3: does not hold: assert tcpi_snd_cwnd == 11 and tcpi_lost == 0\n  tcpi_snd_cwnd is 10, tcpi_lost is 0");
  EXPECT_THAT(error("assert 0, 'cwnd %d' % 5"), HasSubstr("cwnd 5"));
}

TEST_F(DrillCode, what_is_unknown_or_impossible_has_its_place) {
  EXPECT_THAT(error("assert tcpi_nothing == 1"), HasSubstr("1:8: there is no 'tcpi_nothing'"));
  EXPECT_THAT(error("x = 1 // 0"), HasSubstr("division by zero"));
  EXPECT_THAT(error("x = 1 << 64"), HasSubstr("a shift by 64"));
  EXPECT_THAT(error("x = 'a' < 1"), HasSubstr("no order"));
  EXPECT_THAT(error("if 1: print(1)"), HasSubstr("'if' is not in this runner's code"));
  EXPECT_THAT(error("x = $"), HasSubstr("1:5: '$' has no meaning"));
  EXPECT_THAT(error("x = 'abc"), HasSubstr("no end"));
  EXPECT_THAT(error("x = 99999999999999999999"), HasSubstr("is not a number"));
  EXPECT_THAT(error("x = int(1.5e300)"), HasSubstr("does not fit into 64 bits"));
  EXPECT_THAT(error("x = " + std::string(100'000, '(')), HasSubstr("nested less deeply"));
  EXPECT_THAT(error("x = " + std::string(100'000, '-') + "1"), HasSubstr("nested less deeply"));
  EXPECT_THAT(error("x = 12ab"), HasSubstr("'12ab' is not a number"));
}

}  // namespace
}  // namespace leat::drill
