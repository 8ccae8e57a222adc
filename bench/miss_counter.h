// What the processor counts of this thread's misses between construction and print_per(), in user mode.
#pragma once

#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>

namespace leat::bench {

enum class Miss { kL1, kL2 };

class MissCounter {
 public:
  explicit MissCounter(Miss kind) {
    perf_event_attr event{};
    event.size = sizeof event;
    // "Cache misses" are those of L2 on AMD, of the last level on Intel.
    event.type = kind == Miss::kL2 ? PERF_TYPE_HARDWARE : PERF_TYPE_HW_CACHE;
    event.config = kind == Miss::kL2 ? PERF_COUNT_HW_CACHE_MISSES
                                     : PERF_COUNT_HW_CACHE_L1D | PERF_COUNT_HW_CACHE_OP_READ << 8 |
                                           PERF_COUNT_HW_CACHE_RESULT_MISS << 16;
    event.exclude_kernel = 1;
    fd_ = static_cast<int>(syscall(SYS_perf_event_open, &event, 0, -1, -1, 0));
  }
  ~MissCounter() {
    if (fd_ >= 0) close(fd_);
  }
  MissCounter(const MissCounter&) = delete;
  MissCounter& operator=(const MissCounter&) = delete;

  void print_per(size_t operations) const {
    uint64_t count = 0;
    if (fd_ < 0 || read(fd_, &count, sizeof count) != sizeof count)
      std::printf(" not counted here |");
    else
      std::printf(" %.2f |", static_cast<double>(count) / static_cast<double>(operations));
  }

 private:
  int fd_;
};

}  // namespace leat::bench
