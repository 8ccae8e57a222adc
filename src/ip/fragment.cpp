#include "ip/fragment.h"

#include <algorithm>
#include <new>

namespace leat::ip {

struct Reassembly::Piece {
  uint32_t offset;
  uint32_t end;
  static Piece& of(Packet* p) { return *reinterpret_cast<Piece*>(p->control); }
};

Reassembly::~Reassembly() {
  for (Queue*& head : buckets_) {
    while (head != nullptr)
      destroy(head);
  }
}

namespace {

// What a 16-bit length can say: IPv4's counts the header, IPv6's all but the fixed header.
uint32_t max_payload(const FragmentKey& k, uint32_t header_bytes) {
  return 65535 - (k.src.is_v4() ? header_bytes : header_bytes - std::min(header_bytes, 40u));
}

}  // namespace

// --- the table ----------------------------------------------------------------------------------------------------

size_t Reassembly::bucket_of(const FragmentKey& k) const {
  uint8_t bytes[39];
  std::memcpy(bytes, k.src.bytes(), 16);
  std::memcpy(bytes + 16, k.dst.bytes(), 16);
  store_be32(bytes + 32, k.id);
  bytes[36] = k.protocol;
  store_be16(bytes + 37, k.ifindex);
  return static_cast<size_t>(siphash(key_, bytes) % kBuckets);
}

Reassembly::Queue* Reassembly::find(const FragmentKey& k) const {
  for (Queue* q = buckets_[bucket_of(k)]; q != nullptr; q = q->chain) {
    if (q->key == k) return q;
  }
  return nullptr;
}

Reassembly::Queue* Reassembly::create(const FragmentKey& k, Time expires) {
  Queue* q = slab_.create();
  if (q == nullptr) return nullptr;
  q->key = k;
  Queue*& head = buckets_[bucket_of(k)];
  q->chain = head;
  head = q;
  q->memory = sizeof(Queue);
  memory_ += q->memory;
  deadlines_.arm(q, expires);
  return q;
}

void Reassembly::destroy(Queue* q) {
  Queue** link = &buckets_[bucket_of(q->key)];
  while (*link != q)
    link = &(*link)->chain;
  *link = q->chain;
  while (Packet* p = q->pieces.pop_front())
    PacketPtr(p).reset();
  deadlines_.disarm(q);
  memory_ -= q->memory;
  slab_.destroy(q);
}

uint64_t Reassembly::memory() const {
  Guard guard(lock_);
  return memory_;
}

uint32_t& Reassembly::seen_of(const IpAddress& peer) {
  return peers_[siphash(key_, ByteView(peer.bytes(), 16)) % kPeers];
}

// The peer's fragments since this queue last grew (Linux's ip_frag_too_far). A collision of two peers only makes the
// distance look longer.
bool Reassembly::is_too_distant(Queue& q, uint32_t max_dist) {
  uint32_t& seen = seen_of(q.key.src);
  const uint32_t before = q.peer_count;
  q.peer_count = ++seen;
  return max_dist != 0 && q.count != 0 && seen - before > max_dist;
}

// --- a fragment arrives -------------------------------------------------------------------------------------------

Reassembly::Result Reassembly::add(PacketPtr packet, const Fragment& f, const Limits& limits, Time now) {
  Guard guard(lock_);
  Result result;
  Queue* q = memory_ > limits.high_thresh ? nullptr : find_or_begin(f.key, limits, now, result.restarted);
  if (q == nullptr) {
    result.outcome = Outcome::kNoMemory;
    return result;
  }
  result.outcome = take(*q, packet, f);
  switch (result.outcome) {
    case Outcome::kQueued:
    case Outcome::kDuplicate:
      return result;
    case Outcome::kComplete:
      finish(*q, result);
      break;
    default:
      break;
  }
  destroy(q);
  return result;
}

Reassembly::Queue* Reassembly::find_or_begin(const FragmentKey& key, const Limits& limits, Time now, bool& restarted) {
  Queue* q = find(key);
  if (q != nullptr && !is_too_distant(*q, limits.max_dist)) return q;
  restarted = q != nullptr;
  if (restarted) destroy(q);
  q = create(key, now + limits.timeout);
  if (q == nullptr) return nullptr;
  uint32_t& seen = seen_of(key.src);
  q->peer_count = restarted ? seen : ++seen;
  return q;
}

Reassembly::Outcome Reassembly::take(Queue& q, PacketPtr& packet, const Fragment& f) {
  const uint32_t end = f.offset + packet->length;
  if (end > max_payload(f.key, f.header_bytes)) return Outcome::kTooBig;
  if (q.count >= kMaxPieces) return Outcome::kInvalid;
  if (const Outcome o = note_length(q, f, end); o != Outcome::kQueued) return o;
  if (const Outcome o = place(q, packet.get(), f.offset, end); o != Outcome::kQueued) return o;
  const Packet* p = packet.release();
  q.memory += p->truesize;
  memory_ += p->truesize;
  ++q.count;
  q.have += end - f.offset;
  q.ecn_seen |= static_cast<uint8_t>(1 << (f.ecn & 3));
  q.ifindex = p->ifindex;
  if (f.offset == 0) {
    q.header_bytes = f.header_bytes;
    q.name_offset = f.name_offset;
  }
  if (!q.has_last || q.have != q.end) return Outcome::kQueued;
  if (q.end > max_payload(q.key, q.header_bytes)) return Outcome::kTooBig;
  constexpr uint8_t kNotEct = 1, kCe = 8;
  const bool is_mixed = (q.ecn_seen & kNotEct) != 0 && (q.ecn_seen & kCe) != 0;
  return is_mixed ? Outcome::kBadEcn : Outcome::kComplete;
}

// The end of the datagram is fixed by its last piece; nothing may contradict it.
Reassembly::Outcome Reassembly::note_length(Queue& q, const Fragment& f, uint32_t end) {
  if (end == f.offset) return Outcome::kInvalid;  // carries nothing
  if (!f.more) {
    if (end < q.end || (q.has_last && end != q.end)) return Outcome::kInvalid;
    q.has_last = true;
    q.end = end;
  } else if (end > q.end) {
    if (q.has_last) return Outcome::kInvalid;
    q.end = end;
  }
  return Outcome::kQueued;
}

Reassembly::Outcome Reassembly::place(Queue& q, Packet* packet, uint32_t offset, uint32_t end) {
  // In order is the common case, so from behind: the last piece that begins at or before this one.
  Packet* before = q.pieces.back();
  while (before != nullptr && Piece::of(before).offset > offset)
    before = q.pieces.prev(before);
  Packet* after = before == nullptr ? q.pieces.front() : q.pieces.next(before);
  const bool hits_before = before != nullptr && Piece::of(before).end > offset;
  const bool hits_after = after != nullptr && Piece::of(after).offset < end;
  if (hits_before || hits_after) {
    // Wholly inside of pieces that follow on each other without a hole?
    if (!hits_before) {
      return Outcome::kOverlap;
    }
    uint32_t covered = Piece::of(before).end;
    for (Packet* p = after; p != nullptr && covered < end && Piece::of(p).offset == covered; p = q.pieces.next(p)) {
      covered = Piece::of(p).end;
    }
    return covered >= end ? Outcome::kDuplicate : Outcome::kOverlap;
  }
  new (packet->control) Piece{offset, end};
  before == nullptr ? q.pieces.push_front(packet) : q.pieces.insert_after(before, packet);
  return Outcome::kQueued;
}

// The first piece with its header, the others chained behind it. A piece's length counts what hangs on it.
void Reassembly::finish(Queue& q, Result& r) {
  r.payload = q.end;
  r.header_bytes = q.header_bytes;
  r.name_offset = q.name_offset;
  r.has_ce = (q.ecn_seen & 8) != 0;
  uint32_t truesize = 0;
  Packet* chain = nullptr;
  while (Packet* p = q.pieces.back()) {
    q.pieces.erase(p);
    truesize += p->truesize;
    Packet* last = p;
    uint32_t extra = chain == nullptr ? 0 : chain->length;
    for (; last->more != nullptr; last = last->more)
      last->length += extra;  // a piece may itself be a chain
    last->length += extra;
    last->more = chain;
    chain = p;
  }
  r.packet.reset(chain);
  chain->truesize = truesize;
  chain->push(q.header_bytes);
  chain->checksum = Checksum::kNone;
}

// --- time ---------------------------------------------------------------------------------------------------------

bool Reassembly::expire(Time now, Expired& out) {
  Guard guard(lock_);
  Queue* q = deadlines_.pop_due(now);
  if (q == nullptr) return false;
  out.key = q->key;
  out.ifindex = q->ifindex;
  out.header_bytes = q->header_bytes;
  Packet* first = q->pieces.front();
  if (first != nullptr && Piece::of(first).offset == 0) {
    q->pieces.erase(first);
    first->push(q->header_bytes);
    out.first.reset(first);
  }
  destroy(q);
  return true;
}

Time Reassembly::next_deadline() const {
  Guard guard(lock_);
  return deadlines_.next();
}

}  // namespace leat::ip
