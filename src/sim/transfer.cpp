#include "sim/transfer.h"

#include <algorithm>

namespace leat::sim {
namespace {

bool would_block(Errno e) {
  return e == Errno{EAGAIN};
}

}  // namespace

int Sender::write_to(Socket& s) {
  while (sent_ < bytes_) {
    const size_t n = prepare();
    const auto taken = s.write(std::span(buffer_).last(n));
    if (!taken) return would_block(taken.error()) ? 0 : to_int(taken.error());
    sent_ += *taken;
    left_ -= *taken;
  }
  if (has_fin_) return 0;
  const auto ok = s.shutdown(SHUT_WR);
  if (!ok) return to_int(ok.error());
  has_fin_ = true;
  return 0;
}

size_t Sender::prepare() {
  if (left_ == 0) {
    left_ = static_cast<size_t>(std::min<uint64_t>(chunk_, bytes_ - sent_));
    buffer_.resize(left_);
    pattern_.fill(sent_, buffer_);
  }
  return left_;
}

int Receiver::read_from(Socket& s, size_t budget) {
  uint8_t buffer[16384];
  while (budget > 0 && !has_ended_) {
    const auto n = s.read(std::span(buffer).first(std::min(budget, sizeof buffer)));
    if (!n) return would_block(n.error()) ? 0 : to_int(n.error());
    if (*n == 0) {
      has_ended_ = true;
      if (received_ != bytes_ && wrong_.empty()) wrong_ = "the end came after " + std::to_string(received_) + " bytes";
      return 0;
    }
    check(std::span(buffer).first(*n));
    budget -= *n;
  }
  return 0;
}

void Receiver::check(std::span<const uint8_t> bytes) {
  const size_t good = pattern_.count_matching(received_, bytes);
  if (wrong_.empty() && good != bytes.size()) wrong_ = "byte " + std::to_string(received_ + good) + " is wrong";
  received_ += bytes.size();
  if (wrong_.empty() && received_ > bytes_) wrong_ = "more bytes than were sent";
}

}  // namespace leat::sim
