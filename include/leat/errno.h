// Errors towards the user: Linux's errno values in a type of their own.
#pragma once

#include <cerrno>
#include <expected>

namespace leat {

// One enumerator a value would only repeat <cerrno>: write Errno{EAGAIN}, or err(EAGAIN) for a failed Result.
enum class Errno : int {};

template <class T>
using Result = std::expected<T, Errno>;

inline std::unexpected<Errno> err(int e) {
  return std::unexpected<Errno>(Errno{e});
}
inline int to_int(Errno e) {
  return static_cast<int>(e);
}

}  // namespace leat
