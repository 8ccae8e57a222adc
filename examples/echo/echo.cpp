// An echo server on a TCP/IP stack of its own; the socket calls are POSIX's with the stack in front. See README.md.
#include <leat/leat.h>
#include <netinet/in.h>

#include <cstdio>
#include <cstdlib>
#include <thread>

namespace {

void check(bool ok, const char* what) {
  if (ok) return;
  std::perror(what);
  std::exit(1);
}

bool write_all(leat_stack* stack, int fd, const char* bytes, ssize_t count) {
  while (count > 0) {
    ssize_t sent = leat_write(stack, fd, bytes, static_cast<size_t>(count));
    if (sent < 0) return false;  // the peer is gone
    bytes += sent;
    count -= sent;
  }
  return true;
}

void echo(leat_stack* stack, int fd) {
  char buffer[65536];
  ssize_t got = leat_read(stack, fd, buffer, sizeof buffer);
  while (got > 0 && write_all(stack, fd, buffer, got))
    got = leat_read(stack, fd, buffer, sizeof buffer);
  leat_close(stack, fd);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return std::fprintf(stderr, "usage: %s TUN CIDR... PORT\n", argv[0]), 2;
  leat_stack* stack = leat_stack_create(nullptr);
  check(stack != nullptr, "stack");
  int device = leat_stack_add_tun(stack, argv[1], 0);
  check(device >= 0, argv[1]);
  for (int i = 2; i < argc - 1; ++i)
    check(leat_stack_add_address(stack, device, argv[i]) == 0, argv[i]);
  check(leat_stack_start(stack) == 0, "start");  // a thread of leat's runs it, so that calls block as usual

  int listener = leat_socket(stack, AF_INET6, SOCK_STREAM, 0);  // takes IPv4, too, as on Linux
  sockaddr_in6 any{};
  any.sin6_family = AF_INET6;
  any.sin6_port = htons(static_cast<uint16_t>(std::atoi(argv[argc - 1])));
  check(leat_bind(stack, listener, reinterpret_cast<sockaddr*>(&any), sizeof any) == 0, "bind");
  check(leat_listen(stack, listener, 128) == 0, "listen");
  for (;;) {
    int fd = leat_accept(stack, listener, nullptr, nullptr);
    check(fd >= 0, "accept");
    std::thread(echo, stack, fd).detach();
  }
}
