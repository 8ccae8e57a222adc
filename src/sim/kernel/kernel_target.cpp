// See kernel_target.h.
#include "sim/kernel/kernel_target.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>
#include <utility>

#include "sim/kernel/kernel_calls.h"
#include "sim/kernel/machine_sysctls.h"
#include "sim/kernel/namespace.h"

namespace leat::drill {
namespace {

int64_t read_clock(clockid_t clock) {
  timespec ts{};
  clock_gettime(clock, &ts);
  return ts.tv_sec * 1'000'000'000 + ts.tv_nsec;
}

class Clock {
 public:
  Time now() const { return Time::from_ns(read_clock(CLOCK_MONOTONIC) - began_); }
  Time from_wall(const timespec& ts) const {
    return Time::from_ns(ts.tv_sec * 1'000'000'000 + ts.tv_nsec - wall_ahead_ - began_);
  }

 private:
  int64_t wall_ahead_ = read_clock(CLOCK_REALTIME) - read_clock(CLOCK_MONOTONIC);
  int64_t began_ = read_clock(CLOCK_MONOTONIC);
};

void on_interrupt(int) {}

// One thread for one call. It is interrupted by a signal when nobody wants its result any more.
class KernelCall final : public PendingCall {
 public:
  KernelCall(std::function<int64_t(Calls&)> call, Calls& calls, const Clock& clock, int wakeup)
      : thread_([this, call = std::move(call), &calls, &clock, wakeup] {
          prctl(PR_SET_TIMERSLACK, 1UL);
          tid_ = static_cast<pid_t>(syscall(SYS_gettid));
          result_ = call(calls);
          ended_ = clock.now();
          is_done_ = true;
          const uint64_t one = 1;
          (void)!write(wakeup, &one, sizeof one);
        }) {
    wait_until_asleep();
  }
  ~KernelCall() override {
    while (!is_done_) {
      pthread_kill(thread_.native_handle(), SIGUSR2);
      usleep(200);
    }
    thread_.join();
  }
  bool is_done() const override { return is_done_; }
  int64_t result() const override { return result_; }
  Time ended() const override { return ended_; }

 private:
  // A call that need not block has ended when begin() returns; one that must is in the kernel. Both within 200 ms.
  void wait_until_asleep() {
    for (int i = 0; i < 4000 && !is_done_ && !is_asleep(); ++i)
      usleep(50);
  }
  bool is_asleep() const {
    const pid_t tid = tid_;
    if (tid == 0) return false;
    std::ifstream in("/proc/self/task/" + std::to_string(tid) + "/stat");
    std::string line;
    std::getline(in, line);
    const auto name_end = line.rfind(')');
    return name_end != std::string::npos && line.size() > name_end + 2 && line[name_end + 2] == 'S';
  }
  std::atomic<pid_t> tid_ = 0;
  std::atomic<bool> is_done_ = false;
  int64_t result_ = 0;
  Time ended_;
  std::thread thread_;
};

// Neighbour and router discovery, and who is in which group: the kernel's own talk, not the script's business.
bool is_housekeeping(const std::vector<uint8_t>& p) {
  if (p.size() < 41 || (p[0] >> 4) != 6) return false;
  const size_t at = p[6] == 0 ? 48 : 40;
  const uint8_t protocol = p[6] == 0 ? p[40] : p[6];
  if (protocol != 58 || p.size() <= at) return false;
  return (p[at] >= 130 && p[at] <= 137) || p[at] == 143;
}

class Impl final : public KernelTarget {
 public:
  explicit Impl(const KernelOptions& options) : may_set_machine_(options.may_set_machine), calls_(options.congestion) {}
  ~Impl() override {
    if (packets_ >= 0) close(packets_);
    if (wakeup_ >= 0) close(wakeup_);
  }
  std::string open(const KernelOptions& options);

  Time now() const override { return clock_.now(); }
  void run_until(Time t) override;
  void inject(const std::vector<uint8_t>& packet) override;
  std::vector<SentPacket> take_sent() override {
    collect();
    return std::exchange(sent_, {});
  }
  Calls& calls() override { return calls_; }
  std::unique_ptr<PendingCall> begin(std::function<int64_t(Calls&)> call) override {
    return std::make_unique<KernelCall>(std::move(call), calls_, clock_, wakeup_);
  }
  bool set_sysctl(const std::string& name, const std::string& value, std::string& why) override;
  uint64_t counter(const std::string& name) override;
  int shell(const std::string& command) override { return std::system(command.c_str()); }
  bool configure(const std::string& command, std::string& why) override {
    // Scripts name one command and its words; nothing in them is for the shell, which is root's here.
    if (command.find_first_of("$`\\\"'|&;<>(){}*?[]~#!\n") != std::string::npos) {
      why = "'" + command + "' has a character that a shell would understand; there is no shell for scripts";
      return false;
    }
    if (shell(command + " > /dev/null 2>&1") == 0) return true;
    why = "'" + command + "' failed";
    return false;
  }
  std::map<std::string, uint64_t> all_counters() override;

 private:
  std::string open_packet_socket();
  bool collect();
  bool wait(Time t);
  void empty_tun();

  bool may_set_machine_;
  Namespace namespace_;
  MachineSysctls machine_;
  Clock clock_;
  KernelCalls calls_;  // closes what is open before the namespace goes
  int packets_ = -1, wakeup_ = -1;
  std::vector<SentPacket> sent_;
};

std::string Impl::open(const KernelOptions& options) {
  struct sigaction action{};
  action.sa_handler = on_interrupt;
  sigaction(SIGUSR2, &action, nullptr);  // without SA_RESTART: a blocked call ends with EINTR
  prctl(PR_SET_TIMERSLACK, 1UL);
  if (std::string why = namespace_.enter(options); !why.empty()) return why;
  const int error = may_set_machine_ ? machine_.remember(namespace_.before()) : 0;
  if (error != 0) return std::string("limits of the machine: ") + std::strerror(error);
  wakeup_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wakeup_ < 0) return std::string("eventfd: ") + std::strerror(errno);
  return open_packet_socket();
}

// It sees only what leaves.
std::string Impl::open_packet_socket() {
  packets_ = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (packets_ < 0) return std::string("packet socket: ") + std::strerror(errno);
  sock_filter code[] = {
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<uint32_t>(SKF_AD_OFF + SKF_AD_PKTTYPE)},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, PACKET_OUTGOING},
      {BPF_RET | BPF_K, 0, 0, 0x40000},
      {BPF_RET | BPF_K, 0, 0, 0},
  };
  const sock_fprog program{static_cast<unsigned short>(std::size(code)), code};
  const int on = 1, room = 16 << 20;
  (void)setsockopt(packets_, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  if (setsockopt(packets_, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0 ||
      setsockopt(packets_, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) != 0)
    return std::string("packet socket's options: ") + std::strerror(errno);
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_protocol = htons(ETH_P_ALL);
  to.sll_ifindex = namespace_.device();
  if (bind(packets_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0)
    return std::string("packet socket: bind: ") + std::strerror(errno);
  return "";
}

// What waits in the device's queue counts as not yet sent, so it must go at once.
void Impl::empty_tun() {
  uint8_t buffer[64];
  while (read(namespace_.tun(), buffer, sizeof buffer) >= 0) {
  }
}

// true: something was sent.
bool Impl::collect() {
  empty_tun();
  bool has_new = false;
  for (;;) {
    uint8_t buffer[65536];
    alignas(cmsghdr) char control[256];
    iovec io{buffer, sizeof buffer};
    msghdr m{};
    m.msg_iov = &io;
    m.msg_iovlen = 1;
    m.msg_control = control;
    m.msg_controllen = sizeof control;
    const ssize_t n = recvmsg(packets_, &m, MSG_DONTWAIT);
    if (n < 0) break;
    SentPacket p{clock_.now(), {buffer, buffer + n}};
    for (cmsghdr* c = CMSG_FIRSTHDR(&m); c != nullptr; c = CMSG_NXTHDR(&m, c)) {
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) continue;
      timespec ts{};
      std::memcpy(&ts, CMSG_DATA(c), sizeof ts);
      p.at = clock_.from_wall(ts);
    }
    if (is_housekeeping(p.bytes)) continue;
    sent_.push_back(std::move(p));
    has_new = true;
  }
  return has_new;
}

void Impl::run_until(Time t) {
  while (!collect() && clock_.now() < t) {
    if (wait(t)) return;
  }
}

// true: a pending call has ended.
bool Impl::wait(Time t) {
  const Duration left = std::max(t - clock_.now(), Duration());
  const timespec timeout{left.s(), left.ns() % 1'000'000'000};
  pollfd fds[] = {{namespace_.tun(), POLLIN, 0}, {packets_, POLLIN, 0}, {wakeup_, POLLIN, 0}};
  (void)ppoll(fds, 3, t == Time::never() ? nullptr : &timeout, nullptr);
  uint64_t n = 0;
  return (fds[2].revents & POLLIN) != 0 && read(wakeup_, &n, sizeof n) > 0;
}

void Impl::inject(const std::vector<uint8_t>& packet) {
  uint8_t header[10] = {};  // virtio_net_hdr: one plain packet, checksums done
  iovec parts[] = {{header, sizeof header}, {const_cast<uint8_t*>(packet.data()), packet.size()}};
  while (writev(namespace_.tun(), parts, 2) < 0 && (errno == EAGAIN || errno == EINTR)) {
    usleep(50);
  }
}

bool Impl::set_sysctl(const std::string& name, const std::string& value, std::string& why) {
  if (!name.starts_with("net.") || name.find('/') != std::string::npos) {
    why = "'" + name + "' is the whole machine's: a script sets net.… only, which are its namespace's";
    return false;
  }
  std::string path = name;
  for (char& c : path) {
    if (c == '.') c = '/';
  }
  const bool is_of_machine = MachineSysctls::has(name);
  if (is_of_machine && !may_set_machine_) {
    why = name + " is the whole machine's: --machine-sysctls sets it while the script runs";
    return false;
  }
  path = "/proc/sys/" + path;
  const int error = is_of_machine ? machine_.set(namespace_.before(), path, value) : write_file(path, value);
  if (error != 0) why = name + ": " + std::strerror(error);
  return error == 0;
}

// Pairs of lines: "TcpExt: SyncookiesSent …" and "TcpExt: 0 …".
uint64_t Impl::counter(const std::string& name) {
  return all_counters()[name];
}

// Each line of names is followed by one of values; both begin with the group.
std::map<std::string, uint64_t> Impl::all_counters() {
  std::map<std::string, uint64_t> all;
  for (const char* file : {"netstat", "snmp"}) {
    std::ifstream in(std::string("/proc/thread-self/net/") + file);
    std::string names, values;
    while (std::getline(in, names) && std::getline(in, values)) {
      std::istringstream n(names), v(values);
      std::string prefix, word, value;
      n >> prefix;
      v >> value;
      if (!prefix.empty()) prefix.pop_back();
      while (n >> word && v >> value)
        all[prefix + word] = std::strtoull(value.c_str(), nullptr, 10);
    }
  }
  return all;
}

}  // namespace

std::unique_ptr<KernelTarget> KernelTarget::create(const KernelOptions& options, std::string& why) {
  auto target = std::make_unique<Impl>(options);
  why = target->open(options);
  if (!why.empty()) return nullptr;
  return target;
}

}  // namespace leat::drill
