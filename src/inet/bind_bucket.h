// The owners of one port that came to it in one way (see ports.h), found by local address when they are many, so that
// bind() to one of a hundred addresses does not look at the other ninety-nine: what bhash2 is for Linux.
#pragma once

#include <cstdint>
#include <memory>

#include "base/list.h"
#include "inet/bind_conflict.h"
#include "inet/sock.h"
#include "inet/tuple_hash.h"

namespace leat::inet {

struct PortSlot;

// Everything under the lock of `port`.
struct BindBucket {
  using Owners = List<BoundSock, &BoundSock::bind_node>;

  explicit BindBucket(PortSlot* p) : port(p) {}
  bool is_empty() const { return count_ == 0; }
  void add(BoundSock& s, const WordHash& hash);
  void remove(BoundSock& s);
  void put_in_place_of(BoundSock& old, BoundSock& fresh);  // which has the same local address
  bool conflicts_with(const BoundSock& s, BindFor purpose, const WordHash& hash);
  void on_listen() { has_listened_ = true; }

  PortSlot* const port;

 private:
  static constexpr uint32_t kPerList = 4;
  static constexpr uint32_t kMostLists = 256;  // so that spreading anew never takes long
  Owners& list_for(const IpAddress& local, const WordHash& hash);
  void spread(const WordHash& hash);

  Owners wildcard_;  // and all others, until they are many
  std::unique_ptr<Owners[]> by_address_;
  uint32_t lists_ = 0;
  uint32_t count_ = 0;
  // What was true of each owner when it came (Linux's fastreuse and fastreuseport).
  bool all_reuse_address_ = true;
  bool all_reuse_port_ = true;
  bool has_listened_ = false;
};

}  // namespace leat::inet
