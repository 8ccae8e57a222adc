// TCP options as lists of kind and value, in any order and any number: what scripts write down and what the wire shows.
// (wire/tcp.h writes them in Linux's order only, and reads what Linux reads.)
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sim/drill/script.h"
#include "wire/tcp.h"

namespace leat::drill {

inline constexpr uint8_t kOptEol = 0, kOptNop = 1, kOptMss = 2, kOptWscale = 3, kOptSackOk = 4, kOptSack = 5,
                         kOptTimestamp = 8, kOptMd5 = 19, kOptFastOpen = 34, kOptAccEcn0 = 172, kOptAccEcn1 = 174,
                         kOptExperimental = 254;

TcpOption number_option(uint8_t kind, uint32_t value, int bytes);
TcpOption sack_option(const std::vector<wire::SackBlock>& blocks);
TcpOption timestamp_option(uint32_t val, uint32_t ecr);

std::vector<wire::SackBlock> sack_blocks(const TcpOption& o);
bool read_timestamp(const std::vector<TcpOption>& options, uint32_t& val, uint32_t& ecr);
void write_timestamp(std::vector<TcpOption>& options, uint32_t val, uint32_t ecr);

size_t options_length(const std::vector<TcpOption>& options);                           // in bytes, not padded
void append_options(const std::vector<TcpOption>& options, std::vector<uint8_t>& out);  // padded with eol to a word
std::vector<TcpOption> split_options(std::span<const uint8_t> bytes);
std::string to_string_options(const std::vector<TcpOption>& options);  // "<mss 1460,sackOK>", or "" for none

}  // namespace leat::drill
