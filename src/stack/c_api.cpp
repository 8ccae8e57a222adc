// leat.h over leat::Stack: results become -1 and errno. Host code: it seeds from getrandom(2), and the limits are those
// of the machine's memory.
#include "leat/leat.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <new>

#include "leat/stack.h"
#include "leat/worker.h"
#include "link/tun.h"

struct leat_stack {
  std::unique_ptr<leat::Stack> stack;
  std::unique_ptr<leat::Worker> worker;  // before the stack in destruction: stop() comes first
};

namespace {

using leat::Errno;
using leat::Result;

template <class T>
T failed(Errno e) {
  errno = leat::to_int(e);
  return -1;
}
int give(const Result<int>& r) {
  return r ? *r : failed<int>(r.error());
}
int give(const Result<void>& r) {
  return r ? 0 : failed<int>(r.error());
}
ssize_t give(const Result<size_t>& r) {
  return r ? static_cast<ssize_t>(*r) : failed<ssize_t>(r.error());
}

// What the caller's struct does not have yet is zero.
leat_config complete(const leat_config* given) {
  leat_config c{};
  if (given != nullptr) std::memcpy(&c, given, std::min(given->size, sizeof c));
  return c;
}

template <class L>
int add_device(leat_stack* s, const char* name, unsigned mtu) {
  leat::TunOptions options;
  options.name = name == nullptr ? "" : name;
  options.mtu = mtu;
  std::string text;
  auto link = L::open(options, text);
  if (!link) return failed<int>(link.error());
  std::string chosen = (*link)->name();
  return give(s->stack->add_link(std::move(chosen), std::move(*link)));
}

}  // namespace

leat_stack* leat_stack_create(const leat_config* given) {
  const leat_config c = complete(given);
  leat::StackConfig config;
  std::memcpy(config.seed.data(), c.seed, config.seed.size());
  if (std::all_of(config.seed.begin(), config.seed.end(), [](uint8_t b) { return b == 0; }) &&
      getrandom(config.seed.data(), config.seed.size(), 0) != static_cast<ssize_t>(config.seed.size())) {
    return nullptr;
  }
  config.memory = c.memory != 0 ? c.memory : leat::memory_of_machine();
  config.ehash_entries = c.ehash_entries;
  if (c.max_files != 0) config.max_files = c.max_files;
  auto made = leat::Stack::create(config);
  auto* s = made ? new (std::nothrow) leat_stack : nullptr;
  if (s == nullptr) {
    errno = made ? ENOMEM : leat::to_int(made.error());
    return nullptr;
  }
  s->stack = std::move(*made);
  return s;
}

void leat_stack_destroy(leat_stack* s) {
  delete s;
}

int leat_stack_add_tun(leat_stack* s, const char* name, unsigned mtu) {
  return add_device<leat::TunLink>(s, name, mtu);
}
int leat_stack_add_tap(leat_stack* s, const char* name, unsigned mtu) {
  return add_device<leat::TapLink>(s, name, mtu);
}
int leat_stack_add_address(leat_stack* s, int ifindex, const char* cidr) {
  return give(cidr == nullptr ? leat::err(EINVAL) : s->stack->add_address(ifindex, cidr));
}

int leat_stack_add_route(leat_stack* s, const char* destination, const char* gateway, int ifindex) {
  if (destination == nullptr) return failed<int>(Errno{EINVAL});
  return give(s->stack->add_route(destination, gateway == nullptr ? "" : gateway, {.ifindex = ifindex}));
}

int leat_stack_set_sysctl(leat_stack* s, const char* name, const char* value) {
  if (name == nullptr || value == nullptr) return failed<int>(Errno{EINVAL});
  return give(s->stack->set_sysctl(name, value));
}

ssize_t leat_stack_get_sysctl(leat_stack* s, const char* name, char* value, size_t size) {
  const auto text = name == nullptr ? leat::err(EINVAL) : s->stack->get_sysctl(name);
  if (!text) return failed<ssize_t>(text.error());
  if (text->size() >= size) return failed<ssize_t>(Errno{ERANGE});
  std::memcpy(value, text->c_str(), text->size() + 1);
  return static_cast<ssize_t>(text->size());
}

uint64_t leat_stack_counter(leat_stack* s, const char* name) {
  return name == nullptr ? 0 : s->stack->counter(name);
}

int leat_stack_start(leat_stack* s) {
  if (s->worker == nullptr) s->worker = std::make_unique<leat::Worker>(*s->stack);
  return give(s->worker->start());
}
void leat_stack_stop(leat_stack* s) {
  if (s->worker != nullptr) s->worker->stop();
}
int leat_stack_poll(leat_stack* s, int64_t now_ns) {
  return s->stack->poll(leat::Time::from_ns(now_ns)) ? 1 : 0;
}
int64_t leat_stack_next_deadline(const leat_stack* s) {
  return s->stack->next_deadline().ns();
}
int leat_stack_poll_fds(const leat_stack* s, int* fds, int count) {
  const std::vector<int> all = s->stack->poll_fds();
  for (size_t i = 0; i < all.size() && static_cast<int>(i) < count; ++i)
    fds[i] = all[i];
  return static_cast<int>(all.size());
}

// --- sockets
// ------------------------------------------------------------------------------------------------------------

int leat_socket(leat_stack* s, int domain, int type, int protocol) {
  return give(s->stack->socket(domain, type, protocol));
}
int leat_bind(leat_stack* s, int fd, const sockaddr* address, socklen_t length) {
  return give(s->stack->bind(fd, address, length));
}
int leat_listen(leat_stack* s, int fd, int backlog) {
  return give(s->stack->listen(fd, backlog));
}
int leat_accept(leat_stack* s, int fd, sockaddr* address, socklen_t* length) {
  return give(s->stack->accept4(fd, address, length, 0));
}
int leat_accept4(leat_stack* s, int fd, sockaddr* address, socklen_t* length, int flags) {
  return give(s->stack->accept4(fd, address, length, flags));
}
int leat_connect(leat_stack* s, int fd, const sockaddr* address, socklen_t length) {
  return give(s->stack->connect(fd, address, length));
}
int leat_shutdown(leat_stack* s, int fd, int how) {
  return give(s->stack->shutdown(fd, how));
}
int leat_getsockname(leat_stack* s, int fd, sockaddr* address, socklen_t* length) {
  return give(s->stack->getsockname(fd, address, length));
}
int leat_getpeername(leat_stack* s, int fd, sockaddr* address, socklen_t* length) {
  return give(s->stack->getpeername(fd, address, length));
}
int leat_setsockopt(leat_stack* s, int fd, int level, int name, const void* value, socklen_t length) {
  return give(s->stack->setsockopt(fd, level, name, value, length));
}
int leat_getsockopt(leat_stack* s, int fd, int level, int name, void* value, socklen_t* length) {
  return give(s->stack->getsockopt(fd, level, name, value, length));
}

ssize_t leat_read(leat_stack* s, int fd, void* buffer, size_t size) {
  return give(s->stack->read(fd, buffer, size));
}
ssize_t leat_write(leat_stack* s, int fd, const void* buffer, size_t size) {
  return give(s->stack->write(fd, buffer, size));
}
ssize_t leat_readv(leat_stack* s, int fd, const iovec* iov, int count) {
  return give(s->stack->readv(fd, iov, count));
}
ssize_t leat_writev(leat_stack* s, int fd, const iovec* iov, int count) {
  return give(s->stack->writev(fd, iov, count));
}
ssize_t leat_recv(leat_stack* s, int fd, void* buffer, size_t size, int flags) {
  return give(s->stack->recv(fd, buffer, size, flags));
}
ssize_t leat_send(leat_stack* s, int fd, const void* buffer, size_t size, int flags) {
  return give(s->stack->send(fd, buffer, size, flags));
}
ssize_t leat_recvfrom(leat_stack* s, int fd, void* buffer, size_t size, int flags, sockaddr* address,
                      socklen_t* length) {
  return give(s->stack->recvfrom(fd, buffer, size, flags, address, length));
}
ssize_t leat_sendto(leat_stack* s, int fd, const void* buffer, size_t size, int flags, const sockaddr* address,
                    socklen_t length) {
  return give(s->stack->sendto(fd, buffer, size, flags, address, length));
}
ssize_t leat_recvmsg(leat_stack* s, int fd, msghdr* message, int flags) {
  return give(s->stack->recvmsg(fd, message, flags));
}
ssize_t leat_sendmsg(leat_stack* s, int fd, const msghdr* message, int flags) {
  return give(s->stack->sendmsg(fd, message, flags));
}

int leat_close(leat_stack* s, int fd) {
  return give(s->stack->close(fd));
}
int leat_dup(leat_stack* s, int fd) {
  return give(s->stack->dup(fd));
}
int leat_dup2(leat_stack* s, int from, int to) {
  return give(s->stack->dup2(from, to));
}
int leat_dup3(leat_stack* s, int from, int to, int flags) {
  return give(s->stack->dup3(from, to, flags));
}

int leat_fcntl(leat_stack* s, int fd, int command, ...) {
  va_list list;
  va_start(list, command);
  const long argument = va_arg(list, long);
  va_end(list);
  return give(s->stack->fcntl(fd, command, argument));
}

int leat_ioctl(leat_stack* s, int fd, unsigned long request, ...) {
  va_list list;
  va_start(list, request);
  void* argument = va_arg(list, void*);
  va_end(list);
  return give(s->stack->ioctl(fd, request, argument));
}

int leat_poll(leat_stack* s, pollfd* fds, nfds_t count, int timeout_ms) {
  return give(s->stack->poll(fds, count, timeout_ms));
}
int leat_select(leat_stack* s, int count, fd_set* read, fd_set* write, fd_set* except, timeval* timeout) {
  return give(s->stack->select(count, read, write, except, timeout));
}
int leat_epoll_create1(leat_stack* s, int flags) {
  return give(s->stack->epoll_create1(flags));
}
int leat_epoll_ctl(leat_stack* s, int epfd, int op, int fd, epoll_event* event) {
  return give(s->stack->epoll_ctl(epfd, op, fd, event));
}
int leat_epoll_wait(leat_stack* s, int epfd, epoll_event* events, int max_events, int timeout_ms) {
  return give(s->stack->epoll_wait(epfd, events, max_events, timeout_ms));
}
