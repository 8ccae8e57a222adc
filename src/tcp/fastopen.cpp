// Fast Open, the server's decision (RFC 7413 §4.1.3, §4.2; Linux's tcp_try_fastopen and fastopen_queue). A cookie is
// SipHash of the addresses, as Linux makes it, so that leat and Linux may stand side by side behind one address.
#include "tcp/fastopen.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <new>

#include "tcp/active.h"
#include "tcp/output.h"

namespace leat::tcp {
namespace {

constexpr size_t kKeyBytes = sizeof(SipKey);
constexpr Duration kResetHold = Duration::from_s(60);

FastOpenQueue* queue_of(Conn& c) {
  if (c.fastopen_queue == nullptr) c.fastopen_queue = new (std::nothrow) FastOpenQueue;
  return c.fastopen_queue;
}

FastOpenKeys namespace_keys(Tcp& tcp) {
  Guard guard(tcp.fastopen->lock);
  return tcp.fastopen->keys;
}

// The listener's, or the namespace's.
FastOpenKeys keys_for(Tcp& tcp, const FastOpenQueue* q) {
  if (q != nullptr) {
    Guard guard(q->lock);
    if (q->keys.count != 0) return q->keys;
  }
  return namespace_keys(tcp);
}

FastOpenKeys keys_from(std::span<const uint8_t> bytes) {
  FastOpenKeys k;
  for (; k.count < k.keys.size() && bytes.size() >= kKeyBytes; bytes = bytes.subspan(kKeyBytes))
    std::memcpy(k.keys[k.count++].data(), bytes.data(), kKeyBytes);
  return k;
}

}  // namespace

void put_queue(FastOpenQueue* q) {
  if (q != nullptr && q->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) delete q;
}

// ---- keys ----

void use_fastopen_keys(Tcp& tcp) {
  Guard guard(tcp.fastopen->lock);
  FastOpenKeys& k = tcp.fastopen->keys;
  if (k.count != 0) return;
  k.keys[0] = make_sip_key(tcp.ns.rng);
  k.count = 1;
}

Result<void> set_fastopen_keys(Conn& c, std::span<const uint8_t> keys) {
  if (keys.size() != kKeyBytes && keys.size() != 2 * kKeyBytes) return err(EINVAL);
  FastOpenQueue* q = queue_of(c);
  if (q == nullptr) return err(ENOMEM);
  Guard guard(q->lock);
  q->keys = keys_from(keys);
  return {};
}

size_t get_fastopen_keys(Conn& c, std::span<uint8_t> out) {
  const FastOpenKeys k = keys_for(c.tcp, c.fastopen_queue);
  uint8_t all[2 * kKeyBytes];
  for (size_t i = 0; i < k.count; ++i)
    std::memcpy(all + i * kKeyBytes, k.keys[i].data(), kKeyBytes);
  const size_t n = std::min(out.size(), k.count * kKeyBytes);
  std::memcpy(out.data(), all, n);
  return n;
}

namespace {

uint32_t load_le32(const uint8_t* p) {
  return uint32_t{p[0]} | uint32_t{p[1]} << 8 | uint32_t{p[2]} << 16 | uint32_t{p[3]} << 24;
}

void store_le32(uint8_t* p, uint32_t v) {
  for (int i = 0; i < 4; ++i)
    p[i] = static_cast<uint8_t>(v >> 8 * i);
}

void append_key(std::string& text, const SipKey& key) {
  constexpr char kDigits[] = "0123456789abcdef";
  for (size_t i = 0; i < kKeyBytes; i += 4) {
    if (i != 0) text += '-';
    const uint32_t word = load_le32(key.data() + i);
    for (int shift = 28; shift >= 0; shift -= 4)
      text += kDigits[word >> shift & 15];
  }
}

// Four hexadecimal numbers with dashes between them.
bool parse_key(std::string_view text, SipKey& key) {
  for (size_t i = 0; i < kKeyBytes; i += 4) {
    uint32_t word = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, word, 16);
    if (error != std::errc()) return false;
    store_le32(key.data() + i, word);
    if (i + 4 == kKeyBytes) return true;  // what follows is not looked at
    if (stop == end || *stop != '-') return false;
    text.remove_prefix(static_cast<size_t>(stop - text.data()) + 1);
  }
  return true;
}

}  // namespace

std::string print_fastopen_keys(Tcp& tcp) {
  FastOpenKeys k = namespace_keys(tcp);
  if (k.count == 0) k.count = 1;  // none yet: zeros
  std::string text;
  for (size_t i = 0; i < k.count; ++i) {
    if (i != 0) text += ',';
    append_key(text, k.keys[i]);
  }
  return text;
}

Result<void> parse_fastopen_keys(Tcp& tcp, std::string_view text) {
  FastOpenKeys k;
  k.count = 1;
  const size_t comma = text.find(',');
  if (!parse_key(text.substr(0, comma), k.keys[0])) return err(EINVAL);
  if (comma != std::string_view::npos) {
    if (!parse_key(text.substr(comma + 1), k.keys[1])) return err(EINVAL);
    k.count = 2;
  }
  Guard guard(tcp.fastopen->lock);
  tcp.fastopen->keys = k;
  return {};
}

wire::FastOpenCookie make_cookie(const SipKey& key, const inet::FourTuple& t) {
  std::array<uint8_t, 32> in;
  size_t size = 16;
  if (t.local.is_v6()) {
    std::memcpy(in.data(), t.remote.bytes(), 16);
    std::memcpy(in.data() + 16, t.local.bytes(), 16);
    size = 32;
  } else {
    std::memcpy(in.data(), t.remote.v4_bytes(), 4);
    std::memcpy(in.data() + 4, t.local.v4_bytes(), 4);
    size = 8;
  }
  wire::FastOpenCookie cookie;
  cookie.present = true;
  cookie.length = 8;
  store_be64(cookie.bytes.data(), siphash(key, ByteView(in).first(size)));
  return cookie;
}

// ---- the limit ----

Result<void> set_fastopen_queue(Conn& c, uint32_t limit) {
  FastOpenQueue* q = queue_of(c);
  if (q == nullptr) return err(ENOMEM);
  use_fastopen_keys(c.tcp);
  Guard guard(q->lock);
  q->max_qlen = std::min(limit, c.tcp.ns.sysctl.somaxconn.as<uint32_t>());
  return {};
}

namespace {

// Room for one more. A request that a RST ended gives way once its minute is over.
bool has_room(Tcp& tcp, FastOpenQueue* q) {
  if (q == nullptr) return false;
  Request* over = nullptr;
  {
    Guard guard(q->lock);
    if (q->max_qlen == 0) return false;
    if (q->qlen < q->max_qlen) return true;
    over = q->reset.front();
    if (over == nullptr || over->timer.expires > tcp.now()) {
      tcp.count(Mib::TcpExtTCPFastOpenListenOverflow);
      return false;
    }
    over->in_listener.unlink();
    --q->qlen;
  }
  put_request(tcp, *over);
  return true;
}

bool needs_no_cookie(const Tcp& tcp, const TcpSock& listener) {
  return (tcp.ns.sysctl.tcp_fastopen.as<int>() & kFastOpenServerNoCookie) != 0 || listener.options->fastopen_no_cookie;
}

bool is_same(const wire::FastOpenCookie& a, const wire::FastOpenCookie& b) {
  return a.length == b.length && std::equal(a.bytes.begin(), a.bytes.begin() + a.length, b.bytes.begin());
}

// Which key made it, from 1; 0: none.
size_t key_of(const FastOpenKeys& keys, const inet::FourTuple& t, const wire::FastOpenCookie& cookie) {
  for (size_t i = 0; i < keys.count; ++i) {
    if (is_same(make_cookie(keys.keys[i], t), cookie)) return i + 1;
  }
  return 0;
}

}  // namespace

TcpSock* try_fastopen(Tcp& tcp, TcpSock& listener, Request& r, Segment& seg, wire::FastOpenCookie& cookie) {
  FastOpenQueue* q = listener.conn->fastopen_queue;
  const wire::FastOpenCookie asked = cookie;
  const bool requests = asked.present && asked.length == 0;
  if (requests) tcp.count(Mib::TcpExtTCPFastOpenCookieReqd);
  cookie = {};
  const bool enabled = (tcp.ns.sysctl.tcp_fastopen.as<int>() & kFastOpenServer) != 0;
  if (!enabled || (seg.length == 0 && !asked.present) || !has_room(tcp, q)) return nullptr;
  const bool is_free = needs_no_cookie(tcp, listener);
  if (!is_free && !asked.present) return nullptr;
  const FastOpenKeys keys = keys_for(tcp, q);
  size_t made_by = 0;
  if (!is_free) {
    if (keys.count != 0) {
      cookie = make_cookie(keys.keys[0], r.tuple());
      cookie.experimental = asked.experimental;
    }
    if (requests) return nullptr;
    made_by = key_of(keys, r.tuple(), asked);
  }
  TcpSock* child = is_free || made_by != 0 ? make_fastopen_child(tcp, listener, r, seg) : nullptr;
  if (child == nullptr) {
    tcp.count(Mib::TcpExtTCPFastOpenPassiveFail);
    return nullptr;
  }
  if (made_by == 2) {  // the old key's: the new one's cookie goes along
    tcp.count(Mib::TcpExtTCPFastOpenPassiveAltKey);
  } else {
    cookie = {};
  }
  tcp.count(Mib::TcpExtTCPFastOpenPassive);
  return child;
}

// ---- the end of a request ----

namespace {

// true: kept for a minute.
bool hold_after_reset(Tcp& tcp, FastOpenQueue& q, Request& r) {
  if (r.listener->get_state() != State::kListen) return false;
  r.timer.expires = tcp.now() + kResetHold;
  q.reset.push_back(&r);
  ++q.qlen;
  return true;
}

}  // namespace

// One that nobody has accepted yet is not held: its place in the accept queue bounds it.
void remove_fastopen_request(Conn& c, bool was_reset) {
  Request* r = c.fastopen_request;
  if (r == nullptr) return;
  FastOpenQueue& q = *r->fastopen_queue;
  bool is_held = false;
  {
    Guard guard(q.lock);
    c.fastopen_request = nullptr;
    --q.qlen;
    if (was_reset && r->is_accepted) is_held = hold_after_reset(c.tcp, q, *r);
  }
  if (!is_held) put_request(c.tcp, *r);
}

// The child's lock is not held: the queue's is what guards the request against its end.
void note_accepted(FastOpenQueue* q, Conn& child) {
  if (q == nullptr) return;
  Guard guard(q->lock);
  if (child.fastopen_request != nullptr) child.fastopen_request->is_accepted = true;
}

bool is_accepted(const Conn& c) {
  const Request* r = c.fastopen_request;
  if (r == nullptr) return false;
  Guard guard(r->fastopen_queue->lock);
  return r->is_accepted;
}

void forget_reset_requests(Tcp& tcp, Conn& listener) {
  FastOpenQueue* q = listener.fastopen_queue;
  if (q == nullptr) return;
  for (;;) {
    Request* r = nullptr;
    {
      Guard guard(q->lock);
      r = q->reset.pop_front();
      if (r == nullptr) return;
      --q->qlen;
    }
    put_request(tcp, *r);
  }
}

}  // namespace leat::tcp
