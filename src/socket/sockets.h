// The descriptors of one Stack and what POSIX calls do with them. Each call takes the time, finds its file, does its
// work in tcp or udp, and sends on its way out what it gave (Call). What would block waits through the Runner (Wait).
// Thread rule: everything from any thread.
#pragma once

#include <poll.h>
#include <sys/select.h>
#include <sys/uio.h>

#include <atomic>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/errno.h"
#include "base/slab.h"
#include "leat/runner.h"
#include "socket/address.h"
#include "socket/epoll.h"
#include "socket/fd_table.h"
#include "tcp/tcp.h"
#include "udp/udp.h"

namespace leat::socket {

class Sockets {
 public:
  struct Config {
    uint32_t max_files = 1048576;
    bool privileged = true;
    Duration epoch;  // see StackConfig
  };
  Sockets(Netns& ns, ip::Ip& ip, tcp::Tcp& tcp, udp::Udp& udp, const Config& config);
  ~Sockets();  // closes all, without waiting
  // Before the first call: who runs the Stack knows the wall clock.
  void set_epoch(Duration epoch) { epoch_ = epoch; }
  Duration epoch() const { return epoch_; }
  void set_runner(Runner* r) { runner_.store(r, std::memory_order_release); }
  Runner* runner() const { return runner_.load(std::memory_order_acquire); }

  // --- sockets.cpp
  // ----------------------------------------------------------------------------------------------------
  Result<int> socket(int domain, int type, int protocol);
  Result<void> bind(int fd, const sockaddr* address, socklen_t length);
  Result<void> listen(int fd, int backlog);
  Result<int> accept4(int fd, sockaddr* address, socklen_t* length, int flags);
  Result<void> connect(int fd, const sockaddr* address, socklen_t length);
  Result<void> shutdown(int fd, int how);
  Result<void> getsockname(int fd, sockaddr* address, socklen_t* length);
  Result<void> getpeername(int fd, sockaddr* address, socklen_t* length);

  // --- options.cpp
  // ----------------------------------------------------------------------------------------------------
  Result<void> setsockopt(int fd, int level, int name, const void* value, socklen_t length);
  Result<void> getsockopt(int fd, int level, int name, void* value, socklen_t* length);

  // --- io.cpp
  // ---------------------------------------------------------------------------------------------------------
  Result<size_t> sendmsg(int fd, const msghdr& m, int flags);
  Result<size_t> recvmsg(int fd, msghdr& m, int flags);  // msg_flags, msg_namelen and msg_controllen are set

  // --- descriptors.cpp
  // ------------------------------------------------------------------------------------------------
  Result<void> close(int fd);
  Result<int> dup(int fd);
  Result<int> dup2(int from, int to);
  Result<int> dup3(int from, int to, int flags);
  Result<int> fcntl(int fd, int command, long argument);
  Result<int> ioctl(int fd, unsigned long request, void* argument);

  // --- polling.cpp
  // ----------------------------------------------------------------------------------------------------
  Result<int> poll(std::span<pollfd> fds, Duration timeout);
  Result<int> select(int count, fd_set* read, fd_set* write, fd_set* except, Duration timeout);
  Result<int> epoll_create1(int flags);
  Result<void> epoll_ctl(int epfd, int op, int fd, const epoll_event* event);
  Result<int> epoll_wait(int epfd, epoll_event* events, int max_events, Duration timeout);

  size_t open_files() const { return files_.in_use(); }
  // RLIMIT_NOFILE, as setrlimit(2): EINVAL: soft above hard. EPERM: hard above fs.nr_open, or raised without privilege.
  // Descriptors beyond a lowered limit stay open.
  Result<void> set_file_limit(uint32_t soft, uint32_t hard);
  std::pair<uint32_t, uint32_t> file_limit() const;  // soft, hard
  bool give_memory_back();                           // of files, as Tcp's; no lock is held
  FdTable& fds() { return fds_; }
  // What they take from the system, for who looks (diag).
  size_t bytes_of_files() const { return files_.bytes(); }
  size_t bytes_of_fds() const { return fds_.bytes(); }
  size_t bytes_of_items() { return sum_of_polls(&Epoll::bytes); }
  size_t poll_items() { return sum_of_polls(&Epoll::items); }

 private:
  size_t sum_of_polls(size_t (Epoll::*what)() const);
  friend class Wait;
  friend struct OptionCall;

  // A call under way: enter and leave the Runner, take the time, and transmit at the end.
  class [[nodiscard]] Call {
   public:
    explicit Call(Sockets& s);
    ~Call();
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

   private:
    Sockets& sockets_;
    Runner* runner_;
  };
  // A file for the length of a call.
  class FileRef {
   public:
    FileRef(Sockets& s, int fd) : sockets_(s), file_(s.fds_.get(fd)) {}
    ~FileRef() {
      if (file_ != nullptr) sockets_.put_file(file_);
    }
    FileRef(const FileRef&) = delete;
    FileRef& operator=(const FileRef&) = delete;
    explicit operator bool() const { return file_ != nullptr; }
    File* operator->() const { return file_; }
    File& operator*() const { return *file_; }

   private:
    Sockets& sockets_;
    File* file_;
  };

  Result<File*> make_file(FileKind kind, void* object, uint8_t flags);  // one reference. ENFILE, ENOMEM
  void put_file(File* f);                                               // drops a reference; the last one closes
  void destroy_file(File* f);
  void wait_for_linger(File& f);
  Result<int> install(FileKind kind, void* object, int type_flags);
  // f(const SockOptions&) with the socket's lock held: another thread may replace the block.
  template <class F>
  auto with_options(File& file, F&& f) {
    inet::Sock& s = file.sock();
    s.lock.lock();
    const auto result = f(static_cast<const inet::SockOptions&>(*s.options));
    s.lock.unlock();
    process_missed(file);
    return result;
  }
  // Segments that found the lock of a TCP socket taken by somebody else than tcp wait for the next who takes it there.
  void process_missed(File& f);
  uint32_t poll_file(File& f);
  int take_error(File& f);
  bool is_privileged() const { return config_.privileged; }
  Result<void> connect_stream(File& f, const SockAddress& to);
  Result<size_t> send_stream(File& f, const msghdr& m, int flags);
  Result<void> open_with_data(File& f, const msghdr& m, class Pieces& pieces, bool may_block);
  Result<void> wait_for_connection(File& f, bool has_data);
  Result<size_t> send_datagram(File& f, const msghdr& m, int flags);
  Result<size_t> receive_stream(File& f, msghdr& m, int flags);
  Result<size_t> receive_stream_error(File& f, msghdr& m);
  uint32_t put_stamp(File& f, class ControlWriter& control, Time at, bool is_error);
  Result<size_t> receive_datagram(File& f, msghdr& m, int flags);
  Result<int> interface_ioctl(unsigned long request, void* argument);
  Result<int> dup_to(int from, int to, bool close_on_exec);
  Result<int> poll_and_wait(std::span<pollfd> fds, Duration timeout);

  Netns& ns_;
  ip::Ip& ip_;
  tcp::Tcp& tcp_;
  udp::Udp& udp_;
  const Config config_;
  Duration epoch_;
  std::atomic<Runner*> runner_{nullptr};
  FdTable fds_;
  std::atomic<uint32_t> soft_limit_, hard_limit_;
  Slab<File> files_;
  SpinLock links_;  // which item belongs to which epoll and file
};

// A call that waits for a file: wait() as often as the attempt says EAGAIN. Nothing is done before the first.
class Wait {
 public:
  enum class Limit : uint8_t { kReceiveTimeout, kSendTimeout };  // SO_RCVTIMEO, SO_SNDTIMEO
  Wait(Sockets& s, File& f, uint32_t events, Limit limit, bool may_block = true);
  Wait(Sockets& s, File& f, uint32_t events, Duration timeout, bool may_block = true);
  ~Wait();
  Wait(const Wait&) = delete;
  Wait& operator=(const Wait&) = delete;
  // Try again; or EAGAIN (not to be waited for, or time is up), EINTR.
  Result<void> wait() { return wait_at_most(Duration::infinite()); }
  // For what the file does not tell: comes back after `interval` at the latest.
  Result<void> wait_at_most(Duration interval);

 private:
  void begin();

  Sockets& sockets_;
  File& file_;
  Runner* runner_;
  Wakeup wakeup_;
  WaitEntry entry_;
  std::optional<Limit> limit_;
  Duration timeout_;
  Time deadline_;
  bool may_block_;
  bool is_watching_ = false;
};

}  // namespace leat::socket
