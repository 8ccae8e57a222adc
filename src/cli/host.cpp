// From options to a Stack that runs: device, decorators of its link (impair, pcap), addresses, routes, sysctls, control
// socket. Whatever fails is told in one line that names the option.
#include "cli/host.h"

#include <net/if.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "cli/failure.h"
#include "diag/control_client.h"
#include "diag/control_server.h"
#include "leat/links.h"
#include "stack/stack_impl.h"

namespace leat::cli {
namespace {

std::array<uint8_t, 32> random_seed() {
  std::array<uint8_t, 32> seed{};
  if (getrandom(seed.data(), seed.size(), 0) != static_cast<ssize_t>(seed.size())) throw failed("no randomness");
  return seed;
}

int64_t since_1970_at_zero() {
  timespec real{};
  clock_gettime(CLOCK_REALTIME, &real);
  return int64_t{real.tv_sec} * 1'000'000'000 + real.tv_nsec - EventLoop::clock().ns();
}

// A TUN's queue of 500 packets is too short for the windows of today, and it does not push back: it drops.
void set_queue_length(const std::string& device, uint32_t packets) {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  ifreq r{};
  std::strncpy(r.ifr_name, device.c_str(), IFNAMSIZ - 1);
  r.ifr_qlen = static_cast<int>(packets);
  if (ioctl(fd, SIOCSIFTXQLEN, &r) != 0) std::fprintf(stderr, "leat: cannot set txqueuelen of %s\n", device.c_str());
  ::close(fd);
}

}  // namespace

class ControlWatcher final : public Watcher {
 public:
  ControlWatcher(EventLoop& loop, std::unique_ptr<diag::ControlServer> server)
      : loop_(loop), server_(std::move(server)) {
    if (!loop.watch_host(server_->poll_fd(), EPOLLIN, *this)) throw failed("cannot watch the control socket");
  }
  ~ControlWatcher() override { loop_.unwatch_host(server_->poll_fd(), *this); }
  void on_ready(uint32_t) override {
    server_->serve(loop_.now());
    const Time next = server_->next_deadline();
    if (has_alarm_) loop_.cancel(alarm_);
    has_alarm_ = next != Time::never();
    if (!has_alarm_) return;
    alarm_ = loop_.call_at(next, [this] {
      has_alarm_ = false;
      on_ready(0);
    });
  }

 private:
  EventLoop& loop_;
  std::unique_ptr<diag::ControlServer> server_;
  EventLoop::AlarmId alarm_{};
  bool has_alarm_ = false;
};

Host::Host(const CommonOptions& o) {
  if (o.tun.empty() == o.tap.empty()) {
    throw usage("which device? give --tun NAME or --tap NAME, as in --tun leat0");
  }
  if (o.addresses.empty()) throw usage("which address? give --address CIDR, as in --address 10.9.0.2/24");
  device_ = o.tun.empty() ? o.tap : o.tun;
  std::unique_ptr<Link> link = open_link(o);
  auto stack = Stack::create(
      {.seed = random_seed(), .memory = memory_of_machine(), .epoch = Duration::from_ns(since_1970_at_zero())});
  if (!stack) throw failed("cannot make a stack: " + reason(stack.error()));
  stack_ = std::move(*stack);
  const auto ifindex = stack_->add_link(device_, std::move(link));
  if (!ifindex) throw usage("'" + device_ + "' cannot be the name of a device: " + reason(ifindex.error()));
  ifindex_ = *ifindex;
  configure(o);
  loop_ = std::make_unique<EventLoop>(*stack_);
  open_control(o);
}

Host::~Host() {
  control_.reset();
  loop_.reset();
}

std::unique_ptr<Link> Host::open_link(const CommonOptions& o) {
  std::string why;
  const DeviceOptions options{.mtu = o.mtu, .offload = o.offload};
  auto link = o.tap.empty() ? open_tun(o.tun, options, &why) : open_tap(o.tap, options, &why);
  if (!link) throw failed(why);
  if (!o.peer_addresses.empty()) {
    set_queue_length(device_, o.txqueuelen);
    if (auto ok = configure_device(device_, o.peer_addresses, o.mtu, &why); !ok) {
      throw ok.error() == Errno{EINVAL} ? usage("--peer-address: " + why) : failed(why);
    }
  }
  if (!o.impair.empty()) {
    link = impair(std::move(*link), o.impair, random_seed(), &why);
    if (!link) throw usage("--impair: " + why);
  }
  if (!o.pcap.empty()) {
    link = capture(std::move(*link), {.path = o.pcap, .base_ns = since_1970_at_zero()}, &why);
    if (!link) throw failed(why);
  }
  return std::move(*link);
}

void Host::configure(const CommonOptions& o) {
  for (const std::string& text : o.sysctls) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos) throw usage("--sysctl '" + text + "': wanted NAME=VALUE");
    const std::string name = text.substr(0, equals);
    if (auto ok = stack_->set_sysctl(name, text.substr(equals + 1)); !ok) {
      const bool is_unknown = ok.error() == Errno{ENOENT};
      throw usage("--sysctl '" + text + "': " + (is_unknown ? "there is no such name" : reason(ok.error())));
    }
  }
  for (const std::string& cidr : o.addresses) {
    if (auto ok = stack_->add_address(ifindex_, cidr); !ok) {
      const bool is_text = ok.error() == Errno{EINVAL};
      throw usage("--address '" + cidr + "': " + (is_text ? "wanted ADDRESS/PREFIX" : reason(ok.error())));
    }
  }
  for (const std::string& gateway : o.gateways) {
    if (auto ok = stack_->add_route("default", gateway); !ok) {
      const bool is_far = ok.error() == Errno{ENETUNREACH};
      throw usage("--gateway '" + gateway +
                  "': " + (is_far ? "it is in no subnet of an --address" : reason(ok.error())));
    }
  }
}

void Host::open_control(const CommonOptions& o) {
  commands_ = std::make_unique<diag::Commands>(*stack_);
  auto run = [this](std::string_view verb, std::span<const std::string> words) { return commands_->run(verb, words); };
  std::string why;
  const std::string name = o.name.empty() ? device_ : o.name;
  auto server = diag::ControlServer::open(o.control.empty() ? diag::control_path(name) : o.control, run, why);
  // Nobody asked for this name: take one that is free. (Process ids repeat in PID namespaces that share a /tmp.)
  const bool may_choose = o.control.empty() && o.name.empty();
  for (int i = 2; !server && server.error() == Errno{EADDRINUSE} && may_choose && i < 1000; ++i)
    server = diag::ControlServer::open(diag::control_path(name + "-" + std::to_string(i)), run, why);
  if (!server) throw failed(why);
  control_ = std::make_unique<ControlWatcher>(*loop_, std::move(*server));
}

void Host::drain(Duration at_most) {
  tcp::Tcp& tcp = stack_->impl().tcp;
  // What waits in the device is answered at least: a peer whose handshake is half done hears that nobody is here.
  for (int i = 0; i < 16 && stack_->poll(EventLoop::clock()); ++i) {
  }
  loop_->run_until([&] { return tcp.established.count() <= tcp.counts.time_waits.load(std::memory_order_relaxed); },
                   at_most);
}

}  // namespace leat::cli
