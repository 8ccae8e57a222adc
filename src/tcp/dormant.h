// A connection that idles needs little: to be found, woken, and to go on exactly as before. Its Conn (over a kilobyte)
// is written down as a record of about eighty bytes and given back; the next segment, call or timer that needs it
// reads it in again. Nothing that a user or a peer can see changes: what is written down is everything that Linux's
// tcp_sock would still hold, and a connection with anything under way stays awake.
#pragma once

#include <array>
#include <memory>

#include "base/slab.h"
#include "tcp/conn.h"

namespace leat::tcp {

// The record: numbers as differences to numbers that they are near to, in as many bits as each needs.
struct Dormant {
  uint8_t bytes[1];
};

// Slabs for records, 8 bytes apart.
class DormantSlabs {
 public:
  DormantSlabs();
  static constexpr size_t kStep = 8;
  static constexpr size_t kLargest = 384;
  Dormant* make(size_t bytes);  // nullptr: memory is out
  void free(Dormant* d);
  size_t in_use() const;
  size_t bytes() const;  // taken from the system
  bool trim_surplus();   // as of a slab

 private:
  static constexpr size_t kCount = kLargest / kStep;
  std::array<std::unique_ptr<SlabBase>, kCount> slabs_;
};

inline constexpr Duration kSleepAfter = Duration::from_ms(1000);

// All with the socket's lock held.
bool may_sleep(const Conn& c);
bool try_sleep(Conn& c);  // true: c is gone, s.dormant has it
Conn* wake(TcpSock& s);   // the state, read in if it was written down; nullptr: memory is out
inline bool is_dormant(const TcpSock& s) {
  return s.conn == nullptr && s.dormant != nullptr;
}
// Calls f(const Conn&) on the state without waking it (ss, TCP_INFO of a million connections).
void look_at(TcpSock& s, void (*f)(void*, const Conn&), void* context);
void forget_dormant(TcpSock& s);  // the socket is being destroyed

}  // namespace leat::tcp
