// TCP_INFO of both, field by field: which must be equal, and which within what.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace leat::differ {

// The fields that differ beyond their tolerance, "snd_cwnd 10 != 11 …"; empty: equal.
std::string compare_info(const std::vector<uint8_t>& expected, const std::vector<uint8_t>& actual);
std::string describe_info(const std::vector<uint8_t>& info);  // the few that tell most

}  // namespace leat::differ
