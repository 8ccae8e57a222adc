// Options that tell something: INFO, CC_INFO, SAVED_SYN, INQ, TIMESTAMP; and those of repair, signatures and other
// protocols, which leat does not have.
#include <algorithm>

#include "tcp/info.h"
#include "tcp/options_table.h"

namespace leat::tcp {
namespace {

using O = inet::SockOptions;

Result<size_t> get_tcp_info(Conn& c, std::span<uint8_t> out) {
  const TcpInfo info = get_info(c);
  const size_t n = std::min(out.size(), sizeof info);
  std::memcpy(out.data(), &info, n);
  return n;
}

Result<size_t> get_cc_info(Conn& c, std::span<uint8_t> out) {
  if (c.cc_algorithm == nullptr || c.cc_algorithm->get_info == nullptr) return size_t{0};
  uint8_t info[32] = {};
  const size_t n = std::min(out.size(), c.cc_algorithm->get_info(c, std::span<uint8_t>(info)));
  std::memcpy(out.data(), info, n);
  return n;
}

// ---- the SYN of a passive open ----

// 2: with the link's header, where there is one.
Result<void> set_save_syn(Conn& c, int v) {
  if (v < 0 || v > 2) return err(EINVAL);
  return set_shared<&O::save_syn>(c, v);
}
Result<int> get_save_syn(Conn& c) {
  return int{c.sk.options->save_syn};
}

// It can be read once; who has too little room may come again.
Result<size_t> get_saved_syn(Conn& c, std::span<uint8_t> out) {
  if (c.saved_syn == nullptr) return size_t{0};
  const size_t n = c.saved_syn->size();
  if (out.size() < n) return err(EINVAL);
  std::memcpy(out.data(), c.saved_syn->data(), n);
  c.saved_syn.reset();
  return n;
}

Result<void> set_inq(Conn& c, int v) {
  if (v < 0 || v > 1) return err(EINVAL);
  return set_shared<&O::inq>(c, v != 0);
}
Result<int> get_inq(Conn& c) {
  return c.sk.options->inq ? 1 : 0;
}

// The clock of our timestamps, in milliseconds; its lowest bit would say "microseconds".
Result<int> get_timestamp(Conn& c) {
  return static_cast<int>((static_cast<uint32_t>(c.tcp.now().ms()) + c.tsoffset) & ~1u);
}

// ---- repair: nobody has the right to it ----

Result<void> refuse_repair(Conn&, int) {
  return err(EPERM);
}
Result<int> get_zero(Conn&) {
  return 0;
}
Result<int> get_invalid(Conn&) {
  return err(EINVAL);
}
Result<void> refuse_repair_bytes(Conn&, std::span<const uint8_t>) {
  return err(EPERM);
}
Result<size_t> get_repair_window(Conn&, std::span<uint8_t>) {
  return err(EPERM);
}
Result<void> refuse_repair_options(Conn&, std::span<const uint8_t>) {
  return err(EINVAL);
}

// TCP_QUEUE_SEQ has a meaning before a connection is open, and for whom repair is on.
Result<void> refuse_queue_seq(Conn& c, int) {
  return err(c.state() == State::kClose ? EINVAL : EPERM);
}

using enum OptionStatus;
using T = OptionType;

constexpr TcpOption kRows[] = {
    {kOptInfo, "TCP_INFO", T::kBytes, kReadOnly, nullptr, nullptr, nullptr, get_tcp_info},
    {kOptCcInfo, "TCP_CC_INFO", T::kBytes, kReadOnly, nullptr, nullptr, nullptr, get_cc_info},
    {kOptSaveSyn, "TCP_SAVE_SYN", T::kInt, kWorks, set_save_syn, get_save_syn},
    {kOptSavedSyn, "TCP_SAVED_SYN", T::kBytes, kReadOnly, nullptr, nullptr, nullptr, get_saved_syn},
    {kOptInq, "TCP_INQ", T::kInt, kWorks, set_inq, get_inq},
    {kOptTimestamp, "TCP_TIMESTAMP", T::kInt, kReadOnly, refuse_repair, get_timestamp},
    {kOptIsMptcp, "TCP_IS_MPTCP", T::kInt, kReadOnly, nullptr, get_zero},
    {kOptRepair, "TCP_REPAIR", T::kInt, kFails, refuse_repair, get_zero},
    {kOptRepairQueue, "TCP_REPAIR_QUEUE", T::kInt, kFails, refuse_repair, get_invalid},
    {kOptQueueSeq, "TCP_QUEUE_SEQ", T::kInt, kFails, refuse_queue_seq, get_invalid},
    {kOptRepairOptions, "TCP_REPAIR_OPTIONS", T::kBytes, kFails, nullptr, nullptr, refuse_repair_options},
    {kOptRepairWindow, "TCP_REPAIR_WINDOW", T::kBytes, kFails, nullptr, nullptr, refuse_repair_bytes,
     get_repair_window},
    {kOptZerocopyReceive, "TCP_ZEROCOPY_RECEIVE", T::kBytes, kFails},
    {kOptMd5sig, "TCP_MD5SIG", T::kBytes, kFails},
    {kOptMd5sigExt, "TCP_MD5SIG_EXT", T::kBytes, kFails},
    {kOptAoAddKey, "TCP_AO_ADD_KEY", T::kBytes, kFails},
    {kOptAoDelKey, "TCP_AO_DEL_KEY", T::kBytes, kFails},
    {kOptAoInfo, "TCP_AO_INFO", T::kBytes, kFails},
    {kOptAoGetKeys, "TCP_AO_GET_KEYS", T::kBytes, kFails},
    {kOptAoRepair, "TCP_AO_REPAIR", T::kBytes, kFails},
};

}  // namespace

std::span<const TcpOption> reporting_options() {
  return kRows;
}

}  // namespace leat::tcp
