// leat::Endpoint, Socket and Poller: comfort over the functions of Stack, nothing of its own.
#include "leat/socket.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "socket/address.h"
#include "wire/ip_address.h"

namespace leat {

Endpoint::Endpoint() {
  storage_.ss_family = AF_UNSPEC;
}

Result<Endpoint> Endpoint::parse(std::string_view text, uint16_t port) {
  socket::SockAddress a;
  const size_t percent = text.find('%');
  if (percent != std::string_view::npos) {
    const std::string_view scope = text.substr(percent + 1);
    const auto [end, error] = std::from_chars(scope.data(), scope.data() + scope.size(), a.scope);
    if (error != std::errc() || end != scope.data() + scope.size()) return err(EINVAL);
    text = text.substr(0, percent);
  }
  const auto address = IpAddress::parse(text);
  if (!address) return std::unexpected(address.error());
  a.address = *address;
  a.port = port;
  Endpoint e;
  socket::make_sockaddr(a, address->family(), e.storage_);
  return e;
}

Endpoint Endpoint::from(const sockaddr* address, socklen_t length) {
  Endpoint e;
  std::memcpy(&e.storage_, address, std::min<size_t>(length, sizeof e.storage_));
  return e;
}

socklen_t Endpoint::length() const {
  return family() == AF_INET    ? socklen_t{sizeof(sockaddr_in)}
         : family() == AF_INET6 ? socklen_t{sizeof(sockaddr_in6)}
                                : socklen_t{sizeof(sa_family_t)};
}

uint16_t Endpoint::port() const {
  if (family() != AF_INET && family() != AF_INET6) return 0;
  uint16_t big_endian = 0;  // at the same place in both
  std::memcpy(&big_endian, reinterpret_cast<const uint8_t*>(&storage_) + offsetof(sockaddr_in, sin_port), 2);
  return ntohs(big_endian);
}

std::string Endpoint::host() const {
  const auto* bytes = reinterpret_cast<const uint8_t*>(&storage_);
  if (family() == AF_INET) return IpAddress::from_v4_bytes(bytes + offsetof(sockaddr_in, sin_addr)).to_string();
  if (family() == AF_INET6) return IpAddress::from_v6_bytes(bytes + offsetof(sockaddr_in6, sin6_addr)).to_string();
  return {};
}

std::string Endpoint::to_string() const {
  const std::string address = family() == AF_INET6 ? "[" + host() + "]" : host();
  return address + ":" + std::to_string(port());
}

// --- Socket
// -----------------------------------------------------------------------------------------------------------

Result<Socket> Socket::create(Stack& stack, int domain, int type, int protocol) {
  const auto fd = stack.socket(domain, type, protocol);
  return fd ? Result<Socket>(Socket(stack, *fd)) : std::unexpected(fd.error());
}

namespace {

Result<Socket> create_for(Stack& stack, const Result<Endpoint>& to, int type) {
  return to ? Socket::create(stack, to->family(), type) : std::unexpected(to.error());
}

}  // namespace

Result<Socket> Socket::listen(Stack& stack, std::string_view host, uint16_t port, int backlog, int flags) {
  const auto at = Endpoint::parse(host, port);
  auto s = create_for(stack, at, SOCK_STREAM | flags);
  if (!s) return s;
  Result<void> ok = s->set_option(SOL_SOCKET, SO_REUSEADDR, 1);
  if (ok) ok = s->bind(*at);
  if (ok) ok = stack.listen(s->fd(), backlog);
  return ok ? std::move(s) : std::unexpected(ok.error());
}

Result<Socket> Socket::connect(Stack& stack, std::string_view host, uint16_t port, int flags) {
  const auto to = Endpoint::parse(host, port);
  auto s = create_for(stack, to, SOCK_STREAM | flags);
  if (!s) return s;
  const auto begun = s->connect(*to);
  if (!begun && begun.error() != Errno{EINPROGRESS}) return std::unexpected(begun.error());
  return s;
}

Result<Socket> Socket::bind_udp(Stack& stack, std::string_view host, uint16_t port, int flags) {
  const auto at = Endpoint::parse(host, port);
  auto s = create_for(stack, at, SOCK_DGRAM | flags);
  if (!s) return s;
  const auto ok = s->bind(*at);
  return ok ? std::move(s) : std::unexpected(ok.error());
}

Result<void> Socket::close() {
  if (!is_open()) return {};
  return stack_->close(release());
}

Result<Socket> Socket::accept(int flags, Endpoint* peer) {
  sockaddr_storage a{};
  socklen_t length = sizeof a;
  const auto fd = stack_->accept4(fd_, reinterpret_cast<sockaddr*>(&a), &length, flags);
  if (!fd) return std::unexpected(fd.error());
  if (peer != nullptr) *peer = Endpoint::from(reinterpret_cast<sockaddr*>(&a), length);
  return Socket(*stack_, *fd);
}

Result<size_t> Socket::receive_from(std::span<uint8_t> into, Endpoint& from, int flags) {
  sockaddr_storage a{};
  socklen_t length = sizeof a;
  const auto n = stack_->recvfrom(fd_, into.data(), into.size(), flags, reinterpret_cast<sockaddr*>(&a), &length);
  if (n) from = Endpoint::from(reinterpret_cast<sockaddr*>(&a), length);
  return n;
}

Result<size_t> Socket::send_to(std::span<const uint8_t> bytes, const Endpoint& to, int flags) {
  return stack_->sendto(fd_, bytes.data(), bytes.size(), flags, to.data(), to.length());
}

Result<Endpoint> Socket::local() const {
  sockaddr_storage a{};
  socklen_t length = sizeof a;
  const auto ok = stack_->getsockname(fd_, reinterpret_cast<sockaddr*>(&a), &length);
  return ok ? Result<Endpoint>(Endpoint::from(reinterpret_cast<sockaddr*>(&a), length)) : std::unexpected(ok.error());
}

Result<Endpoint> Socket::peer() const {
  sockaddr_storage a{};
  socklen_t length = sizeof a;
  const auto ok = stack_->getpeername(fd_, reinterpret_cast<sockaddr*>(&a), &length);
  return ok ? Result<Endpoint>(Endpoint::from(reinterpret_cast<sockaddr*>(&a), length)) : std::unexpected(ok.error());
}

int Socket::error() const {
  return get_option(SOL_SOCKET, SO_ERROR).value_or(EBADF);
}

Result<void> Socket::set_nonblocking(bool on) {
  int value = on ? 1 : 0;
  constexpr unsigned long kFionbio = 0x5421;
  const auto done = stack_->ioctl(fd_, kFionbio, &value);
  return done ? Result<void>() : std::unexpected(done.error());
}

Result<void> Socket::set_option(int level, int name, int value) {
  return stack_->setsockopt(fd_, level, name, &value, sizeof value);
}

Result<int> Socket::get_option(int level, int name) const {
  int value = 0;
  socklen_t length = sizeof value;
  const auto ok = stack_->getsockopt(fd_, level, name, &value, &length);
  return ok ? Result<int>(value) : std::unexpected(ok.error());
}

// --- Poller
// -----------------------------------------------------------------------------------------------------------

Poller::Poller(Stack& stack) : stack_(stack), epfd_(stack.epoll_create1(EPOLL_CLOEXEC).value_or(-1)) {}

Poller::~Poller() {
  if (epfd_ >= 0) (void)stack_.close(epfd_);
}

Result<void> Poller::add(int fd, uint32_t events, Callback callback) {
  epoll_event e{};
  e.events = events;
  e.data.u64 = static_cast<uint64_t>(next_id_) << 32 | static_cast<uint32_t>(fd);
  if (auto ok = stack_.epoll_ctl(epfd_, EPOLL_CTL_ADD, fd, &e); !ok) return ok;
  callbacks_[fd] = {next_id_++, std::make_shared<Callback>(std::move(callback))};
  return {};
}

Result<void> Poller::change(int fd, uint32_t events) {
  const auto entry = callbacks_.find(fd);
  if (entry == callbacks_.end()) return err(ENOENT);
  epoll_event e{};
  e.events = events;
  e.data.u64 = static_cast<uint64_t>(entry->second.id) << 32 | static_cast<uint32_t>(fd);
  return stack_.epoll_ctl(epfd_, EPOLL_CTL_MOD, fd, &e);
}

void Poller::remove(int fd) {
  if (callbacks_.erase(fd) != 0) (void)stack_.epoll_ctl(epfd_, EPOLL_CTL_DEL, fd, nullptr);
}

// An event whose number was removed, or given to another socket, by a callback before it is nobody's.
Result<int> Poller::dispatch(Duration timeout) {
  epoll_event events[64];
  const auto n = stack_.epoll_pwait2(epfd_, events, 64, timeout);
  if (!n) return n;
  int calls = 0;
  for (int i = 0; i < *n; ++i) {
    const auto entry = callbacks_.find(static_cast<int>(static_cast<uint32_t>(events[i].data.u64)));
    if (entry == callbacks_.end() || entry->second.id != static_cast<uint32_t>(events[i].data.u64 >> 32)) continue;
    const std::shared_ptr<Callback> callback = entry->second.callback;
    (*callback)(events[i].events);
    ++calls;
  }
  return calls;
}

}  // namespace leat
