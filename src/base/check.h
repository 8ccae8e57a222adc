// CHECK is for bugs of ours, never for anything that the wire or the user can cause (design decision 11).
#pragma once

namespace leat {
[[noreturn, gnu::cold]] void check_failed(const char* what, const char* file, int line);
}

#define LEAT_CHECK(cond)                               \
  do {                                                 \
    if (!(cond)) [[unlikely]]                          \
      ::leat::check_failed(#cond, __FILE__, __LINE__); \
  } while (0)
