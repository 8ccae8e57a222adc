// See calls.h. One function for each shape of call; message headers have a file of their own.
#include "sim/drill/calls.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <memory>

#include "sim/drill/call_messages.h"
#include "sim/drill/call_values.h"
#include "sim/drill/symbols.h"

namespace leat::drill {
namespace {

constexpr int64_t kMostBytes = 1 << 30;
constexpr size_t kMostOptionBytes = 64 * 1024;  // of a socket option; a length that lies has no more behind it
constexpr int kMostEvents = 1024;
constexpr size_t kIoctlBytes = 256;

class Builder {
 public:
  Builder(Session& session, const CallSpec& spec) : s_(session), spec_(spec) {}
  PreparedCall run();

 private:
  const Expr& arg(size_t i) const { return spec_.arguments[i]; }
  void count(size_t n) const {
    if (spec_.arguments.size() == n) return;
    throw ScriptError(spec_.place, spec_.name + " takes " + std::to_string(n) + " arguments, not " +
                                       std::to_string(spec_.arguments.size()));
  }
  int number(size_t i) const { return static_cast<int>(to_number(arg(i))); }
  size_t size(size_t i) const {
    const int64_t n = to_number(arg(i));
    if (n < 0 || n > kMostBytes) throw ScriptError(arg(i).place, "a size from 0 to " + std::to_string(kMostBytes));
    return static_cast<size_t>(n);
  }
  int fd(size_t i) const;
  std::shared_ptr<std::vector<uint8_t>> buffer(size_t at, size_t bytes) const;
  void plain(std::function<int64_t(Calls&)> f) { out_.invoke = std::move(f); }

  void socket();
  void bind();
  void listen();
  void accept();
  void connect();
  void read_or_write();
  void send_or_receive();
  void vectors();
  void messages();
  void close();
  void get_option();
  void set_option();
  void control();
  void poll();
  void epoll();

  Session& s_;
  const CallSpec& spec_;
  PreparedCall out_;
};

int Builder::fd(size_t i) const {
  const int script = number(i);
  const auto live = s_.fds.find(script);
  return live == s_.fds.end() ? -1 : live->second;  // EBADF, as on Linux
}

// Where a call reads from or writes to; NULL is nowhere.
std::shared_ptr<std::vector<uint8_t>> Builder::buffer(size_t at, size_t bytes) const {
  const Expr& e = arg(at);
  if (e.kind == Expr::Kind::kWord && e.text == "NULL") return nullptr;
  auto b = std::make_shared<std::vector<uint8_t>>(std::max<size_t>(bytes, 1));
  if (e.kind == Expr::Kind::kString) {
    const std::string text = to_text(e);
    std::copy_n(text.begin(), std::min(text.size(), bytes), b->begin());
  } else if (!is_any(e)) {
    throw ScriptError(e.place, "a buffer is ..., \"text\" or NULL");
  }
  return b;
}

void Builder::socket() {
  count(3);
  const int wire_domain = s_.variant == Variant::kIpv4 ? AF_INET : AF_INET6;
  const int domain = is_any(arg(0)) ? wire_domain : number(0);
  const int type = number(1), protocol = number(2);
  plain([=](Calls& c) { return c.socket(domain, type, protocol); });
  out_.makes_fd = true;
  out_.conclude = [this_session = &s_, type, spec = &spec_](int64_t live) {
    if (live < 0) return;
    const bool is_stream = (type & 0xf) == SOCK_STREAM;
    Conversation& c = this_session->open(is_stream ? PacketSpec::Protocol::kTcp : PacketSpec::Protocol::kUdp);
    c.script_fd = static_cast<int>(to_number(spec->result));
    c.live_fd = static_cast<int>(live);
    this_session->fds[c.script_fd] = c.live_fd;
  };
}

void Builder::bind() {
  count(3);
  const Address a = to_address(s_, arg(1), s_.local, s_.bind_port);
  plain([fd = fd(0), a](Calls& c) { return c.bind(fd, a.get(), a.length); });
  out_.conclude = [session = &s_, script = number(0), a](int64_t r) {
    Conversation* c = session->find_fd(script);
    if (r < 0 || c == nullptr) return;
    c->ends.local_port = a.port;
  };
}

void Builder::listen() {
  count(2);
  plain([fd = fd(0), backlog = number(1)](Calls& c) { return c.listen(fd, backlog); });
  out_.conclude = [session = &s_, script = number(0)](int64_t r) {
    Conversation* c = session->find_fd(script);
    if (r >= 0 && c != nullptr) c->state = Conversation::State::kListening;
  };
}

void Builder::accept() {
  const bool has_flags = spec_.name == "accept4";
  count(has_flags ? 4 : 3);
  out_.makes_fd = true;
  auto peer = std::make_shared<sockaddr_in6>();  // an IPv4 port is in the same place
  plain([fd = fd(0), flags = has_flags ? number(3) : 0, peer](Calls& c) {
    socklen_t n = sizeof *peer;
    return c.accept4(fd, reinterpret_cast<sockaddr*>(peer.get()), &n, flags);
  });
  out_.conclude = [session = &s_, spec = &spec_, peer](int64_t live) {
    if (live < 0) return;
    const int script = static_cast<int>(to_number(spec->result));
    session->fds[script] = static_cast<int>(live);
    for (Conversation& c : session->conversations) {
      const bool is_passive = c.state == Conversation::State::kSynReceived ||
                              c.state == Conversation::State::kSynAckSent || c.state == Conversation::State::kOpen;
      if (!is_passive || c.is_accepted || c.live_fd >= 0 || c.ends.remote_port != ntohs(peer->sin6_port)) continue;
      c.is_accepted = true;
      c.script_fd = script;
      c.live_fd = static_cast<int>(live);
      return;
    }
  };
}

// What connect() and a send with an address have in common: from here on this is the socket under test.
void begin_connecting(Session& s, int script, const Address& a) {
  Conversation* c = s.find_fd(script);
  if (c == nullptr || a.is_unspecified) return;
  if (c->protocol == PacketSpec::Protocol::kTcp && c->state != Conversation::State::kInit) return;
  s.current = c;
  c->ends.remote = a.ip;
  c->ends.remote_port = a.port;
  if (c->protocol == PacketSpec::Protocol::kTcp) c->state = Conversation::State::kConnecting;
}

void Builder::connect() {
  count(3);
  const Address a = to_address(s_, arg(1), s_.remote, s_.connect_port);
  begin_connecting(s_, number(0), a);
  plain([fd = fd(0), a](Calls& c) { return c.connect(fd, a.get(), a.length); });
}

void Builder::read_or_write() {
  count(3);
  const auto b = buffer(1, size(2));
  const bool reads = spec_.name == "read";
  plain([fd = fd(0), b, n = size(2), reads](Calls& c) {
    void* p = b == nullptr ? nullptr : b->data();
    return reads ? c.read(fd, p, n) : c.write(fd, p, n);
  });
}

// send, sendto, recv, recvfrom
void Builder::send_or_receive() {
  const bool sends = spec_.name.starts_with("send"), has_address = spec_.name == "sendto" || spec_.name == "recvfrom";
  count(has_address ? 6 : 4);
  const auto b = buffer(1, size(2));
  const int flags = number(3);
  auto to = std::make_shared<Address>();
  Conversation* conversation = s_.find_fd(number(0));
  const bool is_open = conversation != nullptr && conversation->protocol == PacketSpec::Protocol::kTcp &&
                       conversation->state != Conversation::State::kInit;
  if (sends && has_address && !(arg(4).kind == Expr::Kind::kWord && arg(4).text == "NULL") &&
      !(arg(4).kind == Expr::Kind::kInt && arg(4).number == 0)) {
    *to = to_address(s_, arg(4), s_.remote, s_.connect_port);
    const bool is_datagram = conversation != nullptr && conversation->protocol == PacketSpec::Protocol::kUdp;
    if (!is_open && b != nullptr && (is_datagram || (flags & MSG_FASTOPEN) != 0)) begin_connecting(s_, number(0), *to);
  }
  auto name = std::make_shared<sockaddr_storage>();
  plain([fd = fd(0), b, n = size(2), flags, to, name, sends](Calls& c) {
    iovec v{b == nullptr ? nullptr : b->data(), n};
    msghdr m{};
    m.msg_iov = &v;
    m.msg_iovlen = 1;
    if (!sends) {
      m.msg_name = name.get();
      m.msg_namelen = sizeof *name;
      return c.recvmsg(fd, &m, flags);
    }
    if (to->length != 0) {
      m.msg_name = &to->storage;
      m.msg_namelen = to->length;
    }
    return c.sendmsg(fd, &m, flags);
  });
}

void Builder::vectors() {
  count(3);
  const bool reads = spec_.name == "readv";
  auto iov = std::make_shared<IoVectors>(arg(1));
  plain([fd = fd(0), iov, reads](Calls& c) {
    msghdr m{};
    m.msg_iov = iov->data();
    m.msg_iovlen = iov->size();
    return reads ? c.recvmsg(fd, &m, 0) : c.sendmsg(fd, &m, 0);
  });
}

void Builder::messages() {
  count(3);
  const int flags = number(2);
  auto message = std::make_shared<ScriptMessage>(s_, arg(1));
  if (spec_.name == "sendmsg") {
    if ((flags & MSG_FASTOPEN) != 0) begin_connecting(s_, number(0), message->address());
    const Conversation* conversation = s_.find_fd(number(0));
    const bool is_udp = conversation != nullptr && conversation->protocol == PacketSpec::Protocol::kUdp;
    const bool is_addressed = is_udp || (flags & MSG_FASTOPEN) != 0;
    plain([fd = fd(0), message, flags, is_addressed](Calls& c) {
      return c.sendmsg(fd, message->to_send(is_addressed), flags);
    });
    return;
  }
  plain([fd = fd(0), message, flags](Calls& c) { return c.recvmsg(fd, message->to_receive(), flags); });
  out_.conclude = [message, e = &arg(1), session = &s_](int64_t r) {
    if (r >= 0) message->check(*session, *e);
  };
}

void Builder::close() {
  count(1);
  plain([fd = fd(0)](Calls& c) { return c.close(fd); });
  const int script = number(0);
  if (Conversation* c = s_.find_fd(script)) c->script_fd = c->live_fd = -1;
  s_.fds.erase(script);
}

void Builder::get_option() {
  count(5);
  const int level = number(1), name = number(2);
  const size_t length = static_cast<size_t>(is_any(arg(4)) ? 512 : std::max<int64_t>(0, to_number(inside(arg(4)))));
  auto value = std::make_shared<std::vector<uint8_t>>(std::clamp<size_t>(length, 512, kMostOptionBytes));
  auto n = std::make_shared<socklen_t>(static_cast<socklen_t>(length));
  plain(
      [fd = fd(0), level, name, value, n](Calls& c) { return c.getsockopt(fd, level, name, value->data(), n.get()); });
  out_.conclude = [value, n, e = &arg(3), wanted = &arg(4)](int64_t r) {
    if (r < 0) return;
    value->resize(std::min<size_t>(*n, value->size()));
    check_bytes(*e, *value);
    if (inside(*e).kind != Expr::Kind::kString && !is_any(*wanted))
      check_number(inside(*wanted), *n, "the value's length");
  };
}

void Builder::set_option() {
  count(5);
  const int level = number(1), name = number(2);
  const auto length = static_cast<socklen_t>(to_number(arg(4)));
  auto value = std::make_shared<std::vector<uint8_t>>();
  const Expr& e = arg(3);
  const bool is_null = e.kind == Expr::Kind::kWord && e.text == "NULL";
  if (!is_null) *value = to_bytes(e, length);
  if (!is_null && value->size() < length) value->resize(std::min<size_t>(length, kMostOptionBytes));
  plain([fd = fd(0), level, name, value, length, is_null](Calls& c) {
    return c.setsockopt(fd, level, name, is_null ? nullptr : value->data(), length);
  });
}

// fcntl(3, F_GETFL), fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK), ioctl(3, SIOCINQ, [10]), shutdown(3, SHUT_WR)
void Builder::control() {
  if (spec_.name == "shutdown") {
    count(2);
    return plain([fd = fd(0), how = number(1)](Calls& c) { return c.shutdown(fd, how); });
  }
  if (spec_.name == "fcntl") {
    if (spec_.arguments.size() == 2) return plain([fd = fd(0), k = number(1)](Calls& c) { return c.fcntl(fd, k, 0); });
    count(3);
    return plain([fd = fd(0), k = number(1), a = to_number(arg(2))](Calls& c) { return c.fcntl(fd, k, a); });
  }
  count(3);
  auto value = std::make_shared<std::array<int, kIoctlBytes / sizeof(int)>>();
  plain([fd = fd(0), request = static_cast<unsigned long>(to_number(arg(1))), value](Calls& c) {
    return c.ioctl(fd, request, value->data());
  });
  out_.conclude = [value, e = &arg(2)](int64_t r) {
    if (r >= 0) check_number(inside(*e), value->front(), "the value");
  };
}

void Builder::poll() {
  count(3);
  auto fds = std::make_shared<std::vector<pollfd>>();
  if (arg(0).kind != Expr::Kind::kList)
    throw ScriptError(arg(0).place, "poll takes a [list] of {fd=…, events=…, revents=…}");
  for (const Expr& e : arg(0).items) {
    const Expr *f = e.field("fd"), *events = e.field("events");
    if (f == nullptr || events == nullptr) throw ScriptError(e.place, "{fd=…, events=…, revents=…} is expected here");
    const auto live = s_.fds.find(static_cast<int>(to_number(*f)));
    fds->push_back({live == s_.fds.end() ? -1 : live->second, static_cast<short>(to_number(*events)), 0});
  }
  plain([fds, timeout = number(2)](Calls& c) {
    return c.poll(fds->data(), static_cast<unsigned>(fds->size()), timeout);
  });
  out_.conclude = [fds, list = &arg(0)](int64_t r) {
    for (size_t i = 0; r >= 0 && i < fds->size(); ++i) {
      const Expr* revents = list->items[i].field("revents");
      if (revents != nullptr) {
        check_number(*revents, (*fds)[i].revents, "revents");
      } else if ((*fds)[i].revents != 0) {
        throw ScriptError(list->items[i].place, "revents: expected 0, was " + std::to_string((*fds)[i].revents));
      }
    }
  };
}

epoll_event to_event(const Expr& e) {
  epoll_event ev{};
  const Expr* events = e.field("events");
  if (events == nullptr) throw ScriptError(e.place, "{events=…, fd=…} is expected here");
  ev.events = static_cast<uint32_t>(to_number(*events));
  for (const char* name : {"fd", "u32", "u64", "ptr"}) {
    if (const Expr* v = e.field(name)) ev.data.u64 = static_cast<uint64_t>(to_number(*v));
  }
  return ev;
}

void Builder::epoll() {
  if (spec_.name == "epoll_create" || spec_.name == "epoll_create1") {
    count(1);
    out_.makes_fd = true;
    plain([](Calls& c) { return c.epoll_create1(0); });
    out_.conclude = [session = &s_, spec = &spec_](int64_t live) {
      if (live >= 0) session->fds[static_cast<int>(to_number(spec->result))] = static_cast<int>(live);
    };
    return;
  }
  count(4);
  if (spec_.name == "epoll_ctl") {
    const bool has_event = arg(3).kind == Expr::Kind::kBraces;
    auto event = std::make_shared<epoll_event>(has_event ? to_event(arg(3)) : epoll_event{});
    return plain(
        [ep = fd(0), op = number(1), f = fd(2), event](Calls& c) { return c.epoll_ctl(ep, op, f, event.get()); });
  }
  auto events = std::make_shared<std::vector<epoll_event>>(static_cast<size_t>(kMostEvents));
  plain([ep = fd(0), events, n = std::min(number(2), kMostEvents), timeout = number(3)](Calls& c) {
    return c.epoll_wait(ep, events->data(), n, timeout);
  });
  out_.conclude = [events, e = &arg(1)](int64_t r) {
    for (size_t i = 0; !is_any(*e) && r > 0 && i < static_cast<size_t>(r); ++i) {
      const bool is_list = e->kind == Expr::Kind::kList;
      if (is_list && e->items.empty()) throw ScriptError(e->place, "no event is listed here, and there was one");
      const Expr& one = is_list ? e->items[std::min(i, e->items.size() - 1)] : *e;
      const epoll_event expected = to_event(one);
      if (expected.events != (*events)[i].events) check_number(*one.field("events"), (*events)[i].events, "events");
      if (expected.data.u64 != (*events)[i].data.u64)
        throw ScriptError(one.place, "the event is of another descriptor");
    }
  };
}

PreparedCall Builder::run() {
  using Member = void (Builder::*)();
  static const std::map<std::string, Member> kCalls = {{"socket", &Builder::socket},
                                                       {"bind", &Builder::bind},
                                                       {"listen", &Builder::listen},
                                                       {"accept", &Builder::accept},
                                                       {"accept4", &Builder::accept},
                                                       {"connect", &Builder::connect},
                                                       {"read", &Builder::read_or_write},
                                                       {"write", &Builder::read_or_write},
                                                       {"send", &Builder::send_or_receive},
                                                       {"sendto", &Builder::send_or_receive},
                                                       {"recv", &Builder::send_or_receive},
                                                       {"recvfrom", &Builder::send_or_receive},
                                                       {"readv", &Builder::vectors},
                                                       {"writev", &Builder::vectors},
                                                       {"sendmsg", &Builder::messages},
                                                       {"recvmsg", &Builder::messages},
                                                       {"close", &Builder::close},
                                                       {"getsockopt", &Builder::get_option},
                                                       {"setsockopt", &Builder::set_option},
                                                       {"fcntl", &Builder::control},
                                                       {"ioctl", &Builder::control},
                                                       {"shutdown", &Builder::control},
                                                       {"poll", &Builder::poll},
                                                       {"epoll_create", &Builder::epoll},
                                                       {"epoll_create1", &Builder::epoll},
                                                       {"epoll_ctl", &Builder::epoll},
                                                       {"epoll_wait", &Builder::epoll}};
  const auto call = kCalls.find(spec_.name);
  if (call == kCalls.end()) {
    std::string known;
    for (const auto& [name, member] : kCalls)
      known += (known.empty() ? "" : ", ") + name;
    throw ScriptError(spec_.place, "there is no system call '" + spec_.name + "' in this runner; there are " + known);
  }
  (this->*call->second)();
  if (!out_.conclude) out_.conclude = [](int64_t) {};
  return std::move(out_);
}

}  // namespace

PreparedCall prepare_call(Session& session, const CallSpec& spec) {
  return Builder(session, spec).run();
}

}  // namespace leat::drill
