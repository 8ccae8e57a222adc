// Every pair of binds of TCP sockets to one port, as Linux 6.18.44 answers it: eight kinds of address, each with and
// without SO_REUSEADDR and SO_REUSEPORT, bound only or listening. 4,096 pairs, taken from the kernel in a namespace.
#include "two_stacks.h"

namespace leat {
namespace {

struct Kind {
  const char* address;
  bool v6only;
};
constexpr Kind kKinds[] = {
    {"0.0.0.0", false}, {"10.0.0.1", false}, {"127.0.0.1", false},       {"::", false},
    {"::", true},       {"::1", false},      {"::ffff:10.0.0.1", false}, {"::ffff:0.0.0.0", false}};
// x: the kinds share an address.
constexpr std::string_view kShare[] = {
    "xxxx..xx", "xx.x..xx", "x.xx...x", "xxxxxxxx", "...xxx..", "...xxx..", "xx.x..xx", "xxxx..xx",
};
// For such pairs: . both are bound; b: bind() of the second fails with EADDRINUSE. A row for each way of the first.
constexpr std::string_view kConflict[] = {
    "bbbbbbbb", "bbbbbbbb", "bb..bb..", "bb..bb..", "bbbb....", "bbbbbbbb", "bb......", "bb..bb..",
};

void switch_on(Stack& s, int fd, int level, int option) {
  const int one = 1;
  EXPECT_TRUE(s.setsockopt(fd, level, option, &one, sizeof one));
}

// Bits of `how`: 4 SO_REUSEADDR, 2 SO_REUSEPORT, 1 listens.
int bind_one(Stack& s, const Kind& kind, int how, uint16_t port, int& error) {
  const Endpoint at = Endpoint::parse(kind.address, port).value();
  const int fd = s.socket(at.family(), SOCK_STREAM, 0).value();
  if (kind.v6only) switch_on(s, fd, IPPROTO_IPV6, IPV6_V6ONLY);
  if ((how & 4) != 0) switch_on(s, fd, SOL_SOCKET, SO_REUSEADDR);
  if ((how & 2) != 0) switch_on(s, fd, SOL_SOCKET, SO_REUSEPORT);
  const auto bound = s.bind(fd, at.data(), at.length());
  error = bound ? 0 : static_cast<int>(bound.error());
  if (bound && (how & 1) != 0) {
    EXPECT_TRUE(s.listen(fd, 1)) << kind.address << " " << how;
  }
  return fd;
}

struct BindPairs : TwoStacks {
  char outcome(size_t first, int how1, size_t second, int how2) {
    int error1 = 0, error2 = 0;
    const int fd1 = bind_one(*a, kKinds[first], how1, 8000, error1);
    const int fd2 = bind_one(*a, kKinds[second], how2, 8000, error2);
    EXPECT_EQ(error1, 0);
    EXPECT_TRUE(error2 == 0 || error2 == EADDRINUSE) << error2;
    EXPECT_TRUE(a->close(fd1));
    EXPECT_TRUE(a->close(fd2));
    return error2 == 0 ? '.' : 'b';
  }
};

TEST_F(BindPairs, AreThoseOfTheKernel) {
  for (size_t first = 0; first < 8; ++first) {
    for (size_t second = 0; second < 8; ++second) {
      for (int how1 = 0; how1 < 8; ++how1) {
        std::string got;
        for (int how2 = 0; how2 < 8; ++how2)
          got += outcome(first, how1, second, how2);
        EXPECT_EQ(got, kShare[first][second] == 'x' ? kConflict[how1] : std::string_view("........"))
            << kKinds[first].address << " then " << kKinds[second].address << ", the first with " << how1;
      }
    }
  }
}

}  // namespace
}  // namespace leat
