// Frames in and out of an open TUN or TAP device; tun_open.cpp opens it.
#include "link/tun.h"

#include <sys/uio.h>
#include <unistd.h>

#include <utility>

#include "link/checksum_complete.h"
#include "link/frame_queue.h"
#include "link/vnet_header.h"

namespace leat {
namespace {

constexpr uint32_t kLinear = 1700;        // with its headroom in the pool's class of 2048 bytes
constexpr uint32_t kSpare = 65536 + 256;  // with kLinear: more than any frame that the kernel makes
constexpr size_t kMaxPieces = 256;        // of IOV_MAX's 1024: GRO's longest chain of fragments

struct Gather {
  iovec pieces[kMaxPieces];
  size_t count = 0;
  bool add(const void* bytes, size_t n) {
    if (count == kMaxPieces) return false;
    pieces[count++] = {const_cast<void*>(bytes), n};
    return true;
  }
};

bool gather_packet(const Packet& p, Gather& out) {
  bool fits = true;
  p.for_each_piece(0, p.length, [&](ByteView piece) { fits = fits && out.add(piece.data(), piece.size()); });
  return fits;
}

}  // namespace

TunTapLink::~TunTapLink() {
  if (fd_ >= 0) close(fd_);
}

size_t TunTapLink::receive_batch(std::span<Packet*> out, PacketPool& pool, Time now) {
  size_t n = 0;
  Buffer* spare = nullptr;
  while (n < out.size() && !is_dead()) {
    const uint64_t malformed_before = malformed();
    PacketPtr p = receive_one(spare, pool);
    if (p == nullptr) {
      if (malformed() != malformed_before) continue;  // that one was bad; there may be more
      break;
    }
    p->received = now;
    out[n++] = p.release();
  }
  if (spare != nullptr) PacketPool::unref(spare);
  return n;
}

// nullptr: nothing there, no memory (it waits in the kernel), or a frame that was thrown away and counted.
PacketPtr TunTapLink::receive_one(Buffer*& spare, PacketPool& pool) {
  PacketPtr p = pool.make(kLinear);
  if (spare == nullptr) spare = pool.make_buffer(kSpare);
  if (p == nullptr || spare == nullptr) return nullptr;
  VnetHeader header;
  const uint32_t header_bytes = has_vnet_header_ ? sizeof header : 0;
  const iovec parts[] = {{&header, header_bytes}, {p->tail, kLinear}, {spare->bytes(), kSpare}};
  ssize_t got = 0;
  do {
    got = readv(fd_, parts, 3);
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    if (errno == EBADFD || errno == ENODEV) is_dead_.store(true, std::memory_order_relaxed);
    return nullptr;
  }
  const auto frame = static_cast<uint32_t>(got);
  bool is_good = frame > header_bytes && frame - header_bytes <= kLinear + kSpare;
  if (is_good) {
    const uint32_t length = frame - header_bytes;
    p->put(length < kLinear ? length : kLinear);
    if (length > kLinear) {
      p->add_fragment(spare, 0, length - kLinear);
      PacketPool::unref(std::exchange(spare, nullptr));
    }
    is_good = !has_vnet_header_ || apply_vnet_header(header, features_.kind, *p);
  }
  if (is_good) return p;
  malformed_.fetch_add(1, std::memory_order_relaxed);
  return nullptr;
}

void TunTapLink::transmit_batch(std::span<Packet*> packets, Time) {
  size_t dropped = 0;
  for (Packet* raw : packets) {
    PacketPtr p(raw);
    if (is_dead() || !fits_link(*p, features_) || !write_frame(*p)) ++dropped;
  }
  if (dropped != 0) dropped_.fetch_add(dropped, std::memory_order_relaxed);
}

bool TunTapLink::write_frame(Packet& p) {
  VnetHeader header;
  Gather gather;
  if (has_vnet_header_) {
    if (!describe_frame(p, header)) return false;
    gather.add(&header, sizeof header);
  } else if (!complete_checksum(p)) {
    return false;
  }
  if (!gather_packet(p, gather)) return false;
  ssize_t sent = 0;
  do {
    sent = writev(fd_, gather.pieces, static_cast<int>(gather.count));
  } while (sent < 0 && errno == EINTR);
  if (sent < 0 && errno == EBADFD) is_dead_.store(true, std::memory_order_relaxed);
  return sent >= 0;
}

}  // namespace leat
