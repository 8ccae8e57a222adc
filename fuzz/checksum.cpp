// The packet's pieces: a length byte, that many bytes, and so on. The fast sum must be the naive one.
#include "wire/checksum.h"

#include "fuzz.h"

using namespace leat;

namespace {

uint16_t naive(ByteView bytes) {
  uint64_t sum = 0;
  for (size_t i = 0; i < bytes.size(); ++i)
    sum += static_cast<uint64_t>(bytes[i]) << (i % 2 == 0 ? 8 : 0);
  while (sum >> 16)
    sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FUZZ_REQUIRE(wire::checksum_fold(wire::checksum_add(0, {data, size})) == naive({data, size}));
  PacketPool pool;
  fuzz::Input in(data, size);
  const uint8_t offset = in.u8();
  const ByteView first = in.take(in.u8());
  std::vector<uint8_t> all(first.begin(), first.end());
  PacketPtr p = pool.make_copy(first);
  while (p->frag_count < Packet::kMaxFragments - 1) {
    const ByteView piece = in.take(in.u8());
    if (piece.empty()) break;
    Buffer* b = pool.make_buffer(256);
    std::memcpy(b->bytes() + (piece[0] & 1), piece.data(), piece.size());
    p->add_fragment(b, piece[0] & 1, static_cast<uint32_t>(piece.size()));
    PacketPool::unref(b);
    all.insert(all.end(), piece.begin(), piece.end());
  }
  const ByteView covered = ByteView(all).subspan(std::min<size_t>(offset, all.size()));
  FUZZ_REQUIRE(wire::checksum_fold(wire::checksum_packet(0, *p, offset)) == naive(covered));
  return 0;
}
