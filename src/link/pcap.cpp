// See pcap.h. A capture in memory is a stdio stream of our own (fopencookie) under libpcap's dumper.
#include "link/pcap.h"

#include <pcap/pcap.h>

#include <cstdio>
#include <cstring>
#include <utility>

#include "link/checksum_complete.h"

namespace leat {
namespace {

constexpr int kSnapLength = 262144;  // tcpdump's: more than any frame

ssize_t append(void* memory, const char* bytes, size_t n) {
  auto* out = static_cast<std::vector<uint8_t>*>(memory);
  out->insert(out->end(), bytes, bytes + n);
  return static_cast<ssize_t>(n);
}

FILE* open_memory(std::vector<uint8_t>* memory) {
  memory->clear();
  cookie_io_functions_t functions{};
  functions.write = append;
  return fopencookie(memory, "w", functions);
}

}  // namespace

Result<std::unique_ptr<PcapLink>> PcapLink::open(std::unique_ptr<Link> inner, const PcapOptions& options,
                                                 std::string& error) {
  error.clear();
  std::unique_ptr<PcapLink> link(new PcapLink(std::move(inner), options));
  if (auto started = link->start(error); !started) return std::unexpected(started.error());
  return link;
}

Result<void> PcapLink::start(std::string& error) {
  const std::string what = options_.memory != nullptr ? "memory" : "'" + options_.path + "'";
  FILE* file = options_.memory != nullptr ? open_memory(options_.memory) : fopen(options_.path.c_str(), "wbe");
  if (file == nullptr) {
    const int reason = errno;
    error = "cannot create the capture file " + what + ": " + strerror(reason);
    return err(reason);
  }
  const int type = features().kind == LinkKind::kEthernet ? DLT_EN10MB : DLT_RAW;
  pcap_ = pcap_open_dead_with_tstamp_precision(type, kSnapLength, PCAP_TSTAMP_PRECISION_NANO);
  if (pcap_ != nullptr) dumper_ = pcap_dump_fopen(pcap_, file);
  if (dumper_ != nullptr) return {};
  error =
      "libpcap cannot start the capture in " + what + (pcap_ == nullptr ? "" : std::string(": ") + pcap_geterr(pcap_));
  return err(EIO);
}

PcapLink::~PcapLink() {
  if (dumper_ != nullptr) pcap_dump_close(dumper_);
  if (pcap_ != nullptr) pcap_close(pcap_);
}

size_t PcapLink::receive_batch(std::span<Packet*> out, PacketPool& pool, Time now) {
  const size_t n = inner_->receive_batch(out, pool, now);
  for (const Packet* p : out.first(n))
    write(*p, now);
  return n;
}

void PcapLink::transmit_batch(std::span<Packet*> packets, Time now) {
  for (const Packet* p : packets)
    write(*p, now);
  inner_->transmit_batch(packets, now);
}

void PcapLink::write(const Packet& p, Time now) {
  Guard guard(lock_);
  scratch_.resize(p.length);
  if (p.length != 0) p.copy_out(0, scratch_.data(), p.length);
  if (has_partial_checksum(p) && p.csum_start >= p.headroom())
    complete_checksum(scratch_, p.csum_start - p.headroom(), p.csum_offset);
  const int64_t ns = options_.base_ns + now.ns();
  pcap_pkthdr header{};
  header.ts.tv_sec = ns / 1'000'000'000;
  header.ts.tv_usec = ns % 1'000'000'000;  // nanoseconds: the file says so
  header.caplen = header.len = p.length;
  pcap_dump(reinterpret_cast<u_char*>(dumper_), &header, scratch_.data());
  ++written_;
}

Result<void> PcapLink::flush() {
  Guard guard(lock_);
  if (pcap_dump_flush(dumper_) != 0 || ferror(pcap_dump_file(dumper_)) != 0) return err(EIO);
  return {};
}

uint64_t PcapLink::written() const {
  Guard guard(lock_);
  return written_;
}

}  // namespace leat
