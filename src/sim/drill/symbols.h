// The names that scripts may use for numbers: constants of the socket interface, and the fields of tcp_info.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"

namespace leat::drill {

std::optional<int64_t> symbol(const std::string& name);                           // "SOL_TCP", "EINPROGRESS"
std::string errno_name(int number);                                               // "EINPROGRESS"
std::optional<int64_t> tcp_info_field(const std::string& name, ByteView info);    // "tcpi_snd_cwnd"
std::optional<int64_t> meminfo_field(const std::string& name, ByteView meminfo);  // "SK_MEMINFO_WMEM_QUEUED"

}  // namespace leat::drill
