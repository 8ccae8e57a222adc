// What ends a command before its time: one line that says what to do, and an exit code.
#pragma once

#include <cstring>
#include <stdexcept>
#include <string>

#include "leat/errno.h"

namespace leat::cli {

inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitInterrupted = 130;

class Failure : public std::runtime_error {
 public:
  Failure(int code, const std::string& line) : std::runtime_error(line), code_(code) {}
  int code() const { return code_; }

 private:
  int code_;
};

inline std::string reason(Errno e) {
  return strerror(to_int(e));
}
inline Failure failed(const std::string& line) {
  return {kExitFailed, line};
}
inline Failure usage(const std::string& line) {
  return {kExitUsage, line};
}

}  // namespace leat::cli
