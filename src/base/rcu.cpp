// The only file that knows liburcu. Its per-thread record is liburcu's, not ours.
#include "base/rcu.h"

#define URCU_NO_COMPAT_IDENTIFIERS
#include <urcu/urcu-qsbr.h>

#if defined(__SANITIZE_THREAD__)
#define LEAT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LEAT_TSAN 1
#endif
#endif
#ifdef LEAT_TSAN
#include <sanitizer/tsan_interface.h>
#endif

namespace leat {
namespace {

#ifdef LEAT_TSAN
char grace_period;  // an address for the sanitizer to hang the order on
void announce_quiescent() {
  __tsan_release(&grace_period);
}
void announce_synchronized() {
  __tsan_acquire(&grace_period);
}
#else
void announce_quiescent() {}
void announce_synchronized() {}
#endif

}  // namespace

bool rcu_is_online() {
  return urcu_qsbr_read_ongoing() != 0;
}

RcuThread::RcuThread() : registered_here_(!rcu_is_online()) {
  if (registered_here_) urcu_qsbr_register_thread();
}

RcuThread::~RcuThread() {
  if (!registered_here_) return;
  announce_quiescent();
  urcu_qsbr_unregister_thread();
}

RcuOffline::RcuOffline() : went_offline_(rcu_is_online()) {
  if (!went_offline_) return;
  announce_quiescent();
  urcu_qsbr_thread_offline();
}

RcuOffline::~RcuOffline() {
  if (went_offline_) urcu_qsbr_thread_online();
}

void rcu_quiescent() {
  if (!rcu_is_online()) return;
  announce_quiescent();
  urcu_qsbr_quiescent_state();
}

void rcu_synchronize() {
  announce_quiescent();
  urcu_qsbr_synchronize_rcu();
  announce_synchronized();
}

}  // namespace leat
