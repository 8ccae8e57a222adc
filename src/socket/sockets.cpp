// socket, bind, listen, accept, connect, shutdown and names: Linux's net/socket.c and inet_stream_ops.
#include "socket/sockets.h"

#include <algorithm>
#include <cstring>

#include "inet/sock_options.h"

namespace leat::socket {
namespace {

constexpr int kTypeMask = 0xf;

Result<FileKind> kind_of(int domain, int type, int protocol) {
  if (domain < 0 || domain > 45) return err(EAFNOSUPPORT);
  if (type < 0 || type > SOCK_PACKET) return err(EINVAL);
  if (domain != AF_INET && domain != AF_INET6) return err(EAFNOSUPPORT);
  if (protocol < 0 || protocol > 255) return err(EINVAL);
  if (type == SOCK_STREAM) {
    if (protocol != 0 && protocol != IPPROTO_TCP) return err(EPROTONOSUPPORT);
    return FileKind::kTcp;
  }
  if (type == SOCK_DGRAM) {
    if (protocol != 0 && protocol != IPPROTO_UDP) return err(EPROTONOSUPPORT);
    return FileKind::kUdp;
  }
  return err(ESOCKTNOSUPPORT);
}

}  // namespace

Sockets::Sockets(Netns& ns, ip::Ip& ip, tcp::Tcp& tcp, udp::Udp& udp, const Config& config)
    : ns_(ns),
      ip_(ip),
      tcp_(tcp),
      udp_(udp),
      config_(config),
      epoch_(config.epoch),
      soft_limit_(config.max_files),
      hard_limit_(config.max_files),
      files_("file") {
  fds_.set_limit(config.max_files);
  fds_.set_nr_open(&ns.sysctl.nr_open);
  fds_.set_release([](void* self, File* f) { static_cast<Sockets*>(self)->destroy_file(f); }, this);
}

Sockets::~Sockets() {
  set_runner(nullptr);
  for (uint32_t fd = 0; fd < fds_.end(); ++fd) {
    if (File* f = fds_.remove(static_cast<int>(fd))) put_file(f);
  }
}

Result<File*> Sockets::make_file(FileKind kind, void* object, uint8_t flags) {
  if (static_cast<int64_t>(files_.in_use()) >= ns_.sysctl.file_max) return err(ENFILE);
  File* f = files_.create(kind, object, flags);
  if (f == nullptr) return err(ENOMEM);
  if (kind == FileKind::kTcp) tcp_.attach(f->tcp(), f);
  if (kind == FileKind::kUdp) udp_.attach(f->udp(), f);
  if (kind == FileKind::kEpoll) f->epoll().set_file(f);
  f->refs.store(1, std::memory_order_release);
  return f;
}

Result<int> Sockets::socket(int domain, int type, int protocol) {
  Call call(*this);
  const int type_flags = type & ~kTypeMask;
  if ((type_flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) != 0) return err(EINVAL);
  const auto kind = kind_of(domain, type & kTypeMask, protocol);
  if (!kind) return std::unexpected(kind.error());
  const auto family = static_cast<Family>(domain);
  if (*kind == FileKind::kTcp) {
    auto s = tcp_.create(family);
    return s ? install(FileKind::kTcp, *s, type_flags) : std::unexpected(s.error());
  }
  auto s = udp_.create(family);
  return s ? install(FileKind::kUdp, *s, type_flags) : std::unexpected(s.error());
}

// A descriptor for a new socket, or the socket is closed again.
Result<int> Sockets::install(FileKind kind, void* object, int type_flags) {
  const auto fd = fds_.reserve();
  const uint8_t flags = (type_flags & SOCK_NONBLOCK) != 0 ? kNonBlocking : 0;
  Result<File*> file = fd ? make_file(kind, object, flags) : std::unexpected(fd.error());
  if (file) {
    fds_.publish(*fd, *file, (type_flags & SOCK_CLOEXEC) != 0);
    return *fd;
  }
  if (fd) fds_.unreserve(*fd);
  if (kind == FileKind::kTcp) tcp_.close(*static_cast<tcp::TcpSock*>(object));
  if (kind == FileKind::kUdp) udp_.close(*static_cast<udp::UdpSock*>(object));
  return std::unexpected(file.error());
}

Result<void> Sockets::bind(int fd, const sockaddr* address, socklen_t length) {
  Call call(*this);
  FileRef f(*this, fd);
  if (!f) return err(EBADF);
  if (!f->is_socket()) return err(ENOTSOCK);
  const auto to = parse_address(address, length, f->sock(), AddressUse::kBind);
  if (!to) return std::unexpected(to.error());
  if (to->scope != 0) f->sock().bound_ifindex = static_cast<uint16_t>(to->scope);
  return f->kind == FileKind::kTcp ? tcp_.bind(f->tcp(), to->address, to->port, is_privileged())
                                   : udp_.bind(f->udp(), to->address, to->port, is_privileged());
}

Result<void> Sockets::listen(int fd, int backlog) {
  Call call(*this);
  FileRef f(*this, fd);
  if (!f) return err(EBADF);
  if (!f->is_socket()) return err(ENOTSOCK);
  if (f->kind != FileKind::kTcp) return err(EOPNOTSUPP);
  const auto most = ns_.sysctl.somaxconn.as<uint32_t>();
  return tcp_.listen(f->tcp(), static_cast<int>(std::min(static_cast<uint32_t>(backlog), most)));
}

// The descriptor comes first: with none left, the connection stays in the queue.
Result<int> Sockets::accept4(int fd, sockaddr* address, socklen_t* length, int flags) {
  Call call(*this);
  if ((flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) != 0) return err(EINVAL);
  FileRef f(*this, fd);
  if (!f) return err(EBADF);
  if (!f->is_socket()) return err(ENOTSOCK);
  if (f->kind != FileKind::kTcp) return err(EOPNOTSUPP);
  const auto fresh = fds_.reserve();
  if (!fresh) return fresh;
  Result<tcp::TcpSock*> accepted = err(EAGAIN);
  for (Wait wait(*this, *f, EPOLLIN | EPOLLEXCLUSIVE, Wait::Limit::kReceiveTimeout, f->is_blocking());;) {
    accepted = tcp_.accept(f->tcp());
    if (accepted || accepted.error() != Errno{EAGAIN}) break;
    if (auto again = wait.wait(); !again) {
      accepted = std::unexpected(again.error());
      break;
    }
  }
  Result<File*> file = std::unexpected(Errno{});
  if (accepted) {
    file = make_file(FileKind::kTcp, *accepted, (flags & SOCK_NONBLOCK) != 0 ? kNonBlocking : uint8_t{0});
    if (!file) tcp_.close(**accepted);
  } else {
    file = std::unexpected(accepted.error());
  }
  Result<void> named = file ? write_address(remote_address(**accepted), (*accepted)->family, address, length)
                            : std::unexpected(file.error());
  if (named) {
    fds_.publish(*fresh, *file, (flags & SOCK_CLOEXEC) != 0);
    return *fresh;
  }
  if (file) put_file(*file);
  fds_.unreserve(*fresh);
  return std::unexpected(named.error());
}

Result<void> Sockets::connect(int fd, const sockaddr* address, socklen_t length) {
  Call call(*this);
  FileRef f(*this, fd);
  if (!f) return err(EBADF);
  if (!f->is_socket()) return err(ENOTSOCK);
  const bool is_stream = f->kind == FileKind::kTcp;
  const auto use = is_stream ? AddressUse::kConnectStream : AddressUse::kConnectDatagram;
  const auto to = parse_address(address, length, f->sock(), use);
  if (!to) return std::unexpected(to.error());
  if (is_stream) return connect_stream(*f, *to);
  if (to->is_unspecified) return udp_.disconnect(f->udp());
  return udp_.connect(f->udp(), to->address, to->port, static_cast<uint16_t>(to->scope));
}

// tcp knows what an earlier connect() began; a blocking one asks it again until that has come to its end.
Result<void> Sockets::connect_stream(File& f, const SockAddress& to) {
  if (to.is_unspecified) return tcp_.disconnect(f.tcp());
  if (to.scope != 0 && f.sock().bound_ifindex == 0) f.sock().bound_ifindex = static_cast<uint16_t>(to.scope);
  const bool may_block = f.is_blocking() && runner() != nullptr;
  for (Wait wait(*this, f, EPOLLOUT, Wait::Limit::kSendTimeout);;) {
    const auto result = tcp_.connect(f.tcp(), to.address, to.port);
    const bool goes_on = !result && (result.error() == Errno{EINPROGRESS} || result.error() == Errno{EALREADY});
    if (!goes_on || !may_block) return result;
    if (auto again = wait.wait(); !again) return again.error() == Errno{EAGAIN} ? err(EINPROGRESS) : again;
  }
}

Result<void> Sockets::shutdown(int fd, int how) {
  Call call(*this);
  FileRef f(*this, fd);
  if (!f) return err(EBADF);
  if (!f->is_socket()) return err(ENOTSOCK);
  if (how < SHUT_RD || how > SHUT_RDWR) return err(EINVAL);
  return f->kind == FileKind::kTcp ? tcp_.shutdown(f->tcp(), how) : udp_.shutdown(f->udp(), how);
}

Result<void> Sockets::getsockname(int fd, sockaddr* address, socklen_t* length) {
  Call call(*this);
  FileRef f(*this, fd);
  if (!f) return err(EBADF);
  if (!f->is_socket()) return err(ENOTSOCK);
  if (address == nullptr || length == nullptr) return err(EFAULT);
  return write_address(local_address(f->sock()), f->sock().family, address, length);
}

Result<void> Sockets::getpeername(int fd, sockaddr* address, socklen_t* length) {
  Call call(*this);
  FileRef f(*this, fd);
  if (!f) return err(EBADF);
  if (!f->is_socket()) return err(ENOTSOCK);
  const inet::Sock& s = f->sock();
  const inet::State state = s.get_state();
  if (s.remote_port == 0 || state == inet::State::kClose || state == inet::State::kSynSent) return err(ENOTCONN);
  if (address == nullptr || length == nullptr) return err(EFAULT);
  return write_address(remote_address(s), s.family, address, length);
}

uint32_t Sockets::poll_file(File& f) {
  switch (f.kind) {
    case FileKind::kTcp:
      return tcp_.poll_events(f.tcp());
    case FileKind::kUdp:
      return udp_.poll_events(f.udp());
    case FileKind::kEpoll:
      return f.epoll().has_ready() ? EPOLLIN | EPOLLRDNORM : 0u;
  }
  return 0;
}

int Sockets::take_error(File& f) {
  return f.kind == FileKind::kTcp ? tcp_.take_error(f.tcp()) : udp_.take_error(f.udp());
}

}  // namespace leat::socket
