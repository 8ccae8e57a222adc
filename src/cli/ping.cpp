// leat ping: ICMP echo (RFC 792, RFC 4443 §4) through the Stack's ip room, with iputils' output.
#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <deque>

#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/host.h"
#include "cli/url.h"
#include "stack/stack_impl.h"
#include "wire/checksum.h"
#include "wire/icmp.h"
#include "wire/protocol.h"

namespace leat::cli {
namespace {

constexpr uint32_t kHeaders4 = 28;    // IPv4 and ICMP
constexpr size_t kRemembered = 4096;  // requests of which an answer still counts

std::string ms_text(Duration d) {
  const double ms = static_cast<double>(d.ns()) / 1e6;
  return ms < 1 ? fmt::format("{:.3f}", ms) : ms < 10 ? fmt::format("{:.2f}", ms) : fmt::format("{:.1f}", ms);
}

class Ping final : public ip::Transport {
 public:
  Ping(Host& host, const PingOptions& o, const IpAddress& to);
  ~Ping() override;
  void on_packet(PacketPtr&& packet, const ip::PacketInfo& info) override;
  void on_icmp_error(const ip::IcmpError& e) override;
  int summarize() const;

 private:
  struct Sent {
    uint16_t sequence;
    Time at;
    bool is_answered = false;
  };
  void send();
  void schedule();
  uint8_t protocol() const { return to_.is_v4() ? wire::kProtocolIcmp : wire::kProtocolIcmpv6; }
  void print(const ip::PacketInfo& info, uint32_t bytes, uint16_t sequence, Duration rtt, bool is_duplicate) const;
  Sent* find(uint16_t sequence);

  Host& host_;
  const PingOptions& o_;
  const IpAddress to_;
  uint16_t id_ = 0;
  uint64_t sent_ = 0, received_ = 0, duplicates_ = 0, errors_ = 0;
  std::deque<Sent> under_way_;
  Time start_;
  Time last_sent_;
  double min_ = 0, max_ = 0, sum_ = 0, sum2_ = 0;  // ms
};

Ping::Ping(Host& host, const PingOptions& o, const IpAddress& to)
    : host_(host), o_(o), to_(to), start_(EventLoop::clock()), last_sent_(start_) {
  if (getrandom(&id_, sizeof id_, 0) != sizeof id_) throw failed("no randomness");
  host_.stack().impl().ip.register_transport(protocol(), this);
  const std::string size = to.is_v4() ? fmt::format("{}({}) bytes of data.", o.size, o.size + kHeaders4)
                                      : fmt::format("{} data bytes", o.size);
  std::printf("PING %s (%s) %s\n", o.host.c_str(), to.to_string().c_str(), size.c_str());
  std::fflush(stdout);
  send();
}

Ping::~Ping() {
  host_.stack().impl().ip.register_transport(protocol(), nullptr);
}

void Ping::send() {
  Stack::Impl& impl = host_.stack().impl();
  const auto sequence = static_cast<uint16_t>(++sent_);
  const uint32_t length = wire::kIcmpHeaderBytes + o_.size;
  PacketPtr packet = impl.pool.make(length);
  const auto route =
      impl.ip.route(to_, IpAddress::any(to_.family()), to_.is_link_local() ? host_.ifindex() : uint16_t{0});
  last_sent_ = EventLoop::clock();
  under_way_.push_back({sequence, last_sent_});
  if (under_way_.size() > kRemembered) under_way_.pop_front();
  schedule();
  if (packet == nullptr) return;
  if (!route) {
    std::fprintf(stderr, "leat: ping: %s\n", reason(route.error()).c_str());
    return;
  }
  const bool is_v4 = to_.is_v4();
  uint8_t* bytes = packet->put(length);
  wire::emit_icmp(wire::IcmpHeader::echo(is_v4 ? wire::kIcmp4Echo : wire::kIcmp6Echo, id_, sequence),
                  {bytes, wire::kIcmpHeaderBytes});
  for (uint32_t i = 0; i < o_.size; ++i)
    bytes[wire::kIcmpHeaderBytes + i] = static_cast<uint8_t>(i);
  ip::SendParams params;
  params.src = route->source;
  params.dst = to_;
  params.protocol = protocol();
  params.ttl = static_cast<uint8_t>(o_.ttl);
  const uint64_t pseudo = is_v4 ? 0 : wire::pseudo_header_sum(params.src, params.dst, params.protocol, length);
  store_be16(bytes + 2, 0);
  store_be16(bytes + 2, wire::checksum_fold(wire::checksum_packet(pseudo, *packet, 0)));
  impl.ns.count(is_v4 ? Mib::IcmpOutMsgs : Mib::Icmp6OutMsgs);
  impl.ns.count(is_v4 ? Mib::IcmpOutEchos : Mib::Icmp6OutEchos);
  if (const auto ok = impl.ip.output(std::move(packet), *route, params); !ok) {
    std::fprintf(stderr, "leat: ping: %s\n", reason(ok.error()).c_str());
  }
  impl.ip.flush();
}

void Ping::schedule() {
  EventLoop& loop = host_.loop();
  if (o_.count == 0 || sent_ < o_.count) {
    loop.call_at(last_sent_ + Duration::from_ns(static_cast<int64_t>(o_.interval * 1e9)), [this] { send(); });
  } else {
    loop.call_at(last_sent_ + Duration::from_ns(static_cast<int64_t>(o_.wait * 1e9)), [&loop] { loop.stop(0); });
  }
}

Ping::Sent* Ping::find(uint16_t sequence) {
  const auto i = std::ranges::find(under_way_, sequence, &Sent::sequence);
  return i == under_way_.end() ? nullptr : &*i;
}

void Ping::on_packet(PacketPtr&& packet, const ip::PacketInfo& info) {
  const Time now = EventLoop::clock();
  const uint32_t bytes = packet->length;
  if (!packet->pull_linear(wire::kIcmpHeaderBytes)) return;
  const auto icmp = wire::parse_icmp(packet->linear());
  if (!icmp || icmp->echo_id() != id_) return;
  Sent* sent = find(icmp->echo_sequence());
  if (sent == nullptr) return;
  const bool is_duplicate = sent->is_answered;
  sent->is_answered = true;
  const Duration rtt = now - sent->at;
  print(info, bytes, sent->sequence, rtt, is_duplicate);
  if (is_duplicate) {
    ++duplicates_;
    return;
  }
  const double ms = static_cast<double>(rtt.ns()) / 1e6;
  min_ = received_ == 0 ? ms : std::min(min_, ms);
  max_ = std::max(max_, ms);
  sum_ += ms;
  sum2_ += ms * ms;
  if (++received_ == o_.count) host_.loop().stop(0);
}

void Ping::print(const ip::PacketInfo& info, uint32_t bytes, uint16_t sequence, Duration rtt, bool is_duplicate) const {
  if (o_.quiet) return;
  std::printf("%u bytes from %s: icmp_seq=%u ttl=%u time=%s ms%s\n", bytes, info.src.to_string().c_str(), sequence,
              info.ttl, ms_text(rtt).c_str(), is_duplicate ? " (DUP!)" : "");
  std::fflush(stdout);
}

void Ping::on_icmp_error(const ip::IcmpError& e) {
  const auto icmp = wire::parse_icmp(e.quoted);
  if (!icmp || icmp->echo_id() != id_) return;
  ++errors_;
  if (o_.quiet) return;
  std::printf("From %s icmp_seq=%u %s\n", e.reporter.to_string().c_str(), icmp->echo_sequence(), strerror(e.error));
  std::fflush(stdout);
}

int Ping::summarize() const {
  const auto took = (EventLoop::clock() - start_).ms();
  const uint64_t lost = sent_ - received_;
  std::printf("\n--- %s ping statistics ---\n%lu packets transmitted, %lu received", o_.host.c_str(), sent_, received_);
  if (duplicates_ != 0) std::printf(", +%lu duplicates", duplicates_);
  if (errors_ != 0) std::printf(", +%lu errors", errors_);
  std::printf(", %s%% packet loss, time %ldms\n",
              fmt::format("{:g}", 100.0 * static_cast<double>(lost) / static_cast<double>(std::max<uint64_t>(sent_, 1)))
                  .c_str(),
              took);
  if (received_ == 0) return kExitFailed;
  const double n = static_cast<double>(received_);
  const double average = sum_ / n;
  const double mdev = std::sqrt(std::max(sum2_ / n - average * average, 0.0));
  std::printf("rtt min/avg/max/mdev = %.3f/%.3f/%.3f/%.3f ms\n", min_, average, max_, mdev);
  return 0;
}

}  // namespace

int ping(const PingOptions& o) {
  const WantedFamily family = o.v4 ? WantedFamily::kV4 : o.v6 ? WantedFamily::kV6 : WantedFamily::kAny;
  const Endpoint to = resolve(o.host, 1, family);
  const auto address = IpAddress::parse(to.host().substr(0, to.host().find('%')));
  if (!address) throw usage("'" + o.host + "' is no address");
  // A length of 16 bits: IPv4's counts its own header, IPv6's does not.
  const uint32_t most = address->is_v4() ? 65535 - kHeaders4 : 65535 - static_cast<uint32_t>(wire::kIcmpHeaderBytes);
  if (o.size > most) throw usage("-s goes up to " + std::to_string(most) + " here");
  Host host(o.common);
  Ping ping(host, o, *address);
  host.loop().run();
  return ping.summarize();
}

}  // namespace leat::cli
