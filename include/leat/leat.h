/* leat's C API: POSIX in shape, Linux in behaviour.
 *
 * Every socket function is the POSIX one of the same name with the stack in front, and leat_ in front of the name. It
 * returns what that returns: -1 and errno on failure. Descriptors belong to the stack and have nothing to do with those
 * of the process. There is no SIGPIPE. Where nothing is said here, the manual page of the function holds; what is not
 * implemented fails as on a Linux that does not know it.
 *
 * Time-outs are in milliseconds where POSIX has them so, times and deadlines in nanoseconds of CLOCK_MONOTONIC or of
 * any clock that does not go back. Thread rule: any function from any thread, but leat_stack_create and _destroy alone.
 *
 *   struct leat_stack* s = leat_stack_create(NULL);
 *   int ifindex = leat_stack_add_tun(s, "tun0", 1500);
 *   leat_stack_add_address(s, ifindex, "10.0.0.1/24");
 *   leat_stack_start(s);                          // a thread of its own runs it; calls may block
 *   int fd = leat_socket(s, AF_INET, SOCK_STREAM, 0);
 */
#ifndef LEAT_LEAT_H
#define LEAT_LEAT_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct leat_stack;

struct leat_config {
  size_t size;            /* sizeof(struct leat_config): what the caller knows of it */
  uint8_t seed[32];       /* all zero: from getrandom(2) */
  uint32_t ehash_entries; /* 0: from the memory, as Linux */
  uint32_t max_files;     /* 0: 1048576; no more than fs.file-max, which is from the memory, are open at a time */
  uint64_t memory;        /* bytes, for the limits that Linux takes from them at start (tcp_mem, …); 0: the machine's */
};

/* --- a stack ---------------------------------------------------------------------------------------------------------
 */
/* NULL and errno (ENOMEM, EINVAL). config may be NULL. Has an interface "lo". */
struct leat_stack* leat_stack_create(const struct leat_config* config);
/* Stops it, closes every descriptor and frees it. No call may be under way. */
void leat_stack_destroy(struct leat_stack* stack);

/* Interfaces: their index, or -1. mtu 0: what the device says. EBUSY, EPERM, ENOENT, ENODEV, EEXIST. */
int leat_stack_add_tun(struct leat_stack* stack, const char* name, unsigned mtu);
int leat_stack_add_tap(struct leat_stack* stack, const char* name, unsigned mtu);
/* "10.0.0.1/24", "fd00::1/64". EINVAL, ENODEV, EEXIST. */
int leat_stack_add_address(struct leat_stack* stack, int ifindex, const char* cidr);
/* destination: a prefix or "default"; gateway: an address, or NULL for on-link by ifindex. ENETUNREACH, EINVAL. */
int leat_stack_add_route(struct leat_stack* stack, const char* destination, const char* gateway, int ifindex);
/* Linux's names, "net.ipv4.tcp_sack". The getter writes a string and gives its length, or -1 (ENOENT, ERANGE). */
int leat_stack_set_sysctl(struct leat_stack* stack, const char* name, const char* value);
ssize_t leat_stack_get_sysctl(struct leat_stack* stack, const char* name, char* value, size_t size);
/* "TcpExtTCPTimeouts"; 0 when there is no such counter. */
uint64_t leat_stack_counter(struct leat_stack* stack, const char* name);

/* Either a thread of its own runs the stack, and calls may block … EALREADY, EAGAIN, EMFILE. */
int leat_stack_start(struct leat_stack* stack);
/* … until this. Blocked calls fail with EINTR. */
void leat_stack_stop(struct leat_stack* stack);
/* Or the caller does: nothing blocks then. 1: come again at once, there was more than one turn takes. */
int leat_stack_poll(struct leat_stack* stack, int64_t now_ns);
int64_t leat_stack_next_deadline(const struct leat_stack* stack); /* INT64_MAX: never */
/* Writes up to `count` host descriptors to wait on for input; gives how many there are. */
int leat_stack_poll_fds(const struct leat_stack* stack, int* fds, int count);

/* --- sockets ---------------------------------------------------------------------------------------------------------
 */
int leat_socket(struct leat_stack* stack, int domain, int type, int protocol);
int leat_bind(struct leat_stack* stack, int fd, const struct sockaddr* address, socklen_t length);
int leat_listen(struct leat_stack* stack, int fd, int backlog);
int leat_accept(struct leat_stack* stack, int fd, struct sockaddr* address, socklen_t* length);
int leat_accept4(struct leat_stack* stack, int fd, struct sockaddr* address, socklen_t* length, int flags);
int leat_connect(struct leat_stack* stack, int fd, const struct sockaddr* address, socklen_t length);
int leat_shutdown(struct leat_stack* stack, int fd, int how);
int leat_getsockname(struct leat_stack* stack, int fd, struct sockaddr* address, socklen_t* length);
int leat_getpeername(struct leat_stack* stack, int fd, struct sockaddr* address, socklen_t* length);
int leat_setsockopt(struct leat_stack* stack, int fd, int level, int name, const void* value, socklen_t length);
int leat_getsockopt(struct leat_stack* stack, int fd, int level, int name, void* value, socklen_t* length);

ssize_t leat_read(struct leat_stack* stack, int fd, void* buffer, size_t size);
ssize_t leat_write(struct leat_stack* stack, int fd, const void* buffer, size_t size);
ssize_t leat_readv(struct leat_stack* stack, int fd, const struct iovec* iov, int count);
ssize_t leat_writev(struct leat_stack* stack, int fd, const struct iovec* iov, int count);
ssize_t leat_recv(struct leat_stack* stack, int fd, void* buffer, size_t size, int flags);
ssize_t leat_send(struct leat_stack* stack, int fd, const void* buffer, size_t size, int flags);
ssize_t leat_recvfrom(struct leat_stack* stack, int fd, void* buffer, size_t size, int flags, struct sockaddr* address,
                      socklen_t* length);
ssize_t leat_sendto(struct leat_stack* stack, int fd, const void* buffer, size_t size, int flags,
                    const struct sockaddr* address, socklen_t length);
ssize_t leat_recvmsg(struct leat_stack* stack, int fd, struct msghdr* message, int flags);
ssize_t leat_sendmsg(struct leat_stack* stack, int fd, const struct msghdr* message, int flags);

int leat_close(struct leat_stack* stack, int fd);
int leat_dup(struct leat_stack* stack, int fd);
int leat_dup2(struct leat_stack* stack, int from, int to);
int leat_dup3(struct leat_stack* stack, int from, int to, int flags);
int leat_fcntl(struct leat_stack* stack, int fd, int command, ... /* long */);
int leat_ioctl(struct leat_stack* stack, int fd, unsigned long request, ... /* void* */);

int leat_poll(struct leat_stack* stack, struct pollfd* fds, nfds_t count, int timeout_ms);
int leat_select(struct leat_stack* stack, int count, fd_set* read, fd_set* write, fd_set* except,
                struct timeval* timeout);
int leat_epoll_create1(struct leat_stack* stack, int flags);
int leat_epoll_ctl(struct leat_stack* stack, int epfd, int op, int fd, struct epoll_event* event);
int leat_epoll_wait(struct leat_stack* stack, int epfd, struct epoll_event* events, int max_events, int timeout_ms);

#ifdef __cplusplus
}
#endif

#endif
