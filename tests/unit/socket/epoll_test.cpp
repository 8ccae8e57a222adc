// epoll as Linux has it: level and edge, one shot, nesting, errors, and what closing does.
#include <fcntl.h>

#include <climits>

#include "host.h"

namespace leat::socket {
namespace {

struct EpollTest : testing::Test, Host {};

TEST_F(EpollTest, LevelTriggeredReportsAsLongAsThereIsData) {
  const int fd = udp_socket(7000);
  const int ep = epoll();
  ASSERT_TRUE(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN));
  EXPECT_TRUE(wait(ep).empty());
  send_to(7000, "a");
  ASSERT_EQ(wait(ep).size(), 1u);
  const auto again = wait(ep);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].events, uint32_t{EPOLLIN});
  EXPECT_EQ(again[0].data.fd, fd);
  EXPECT_TRUE(receive(fd));
  EXPECT_TRUE(wait(ep).empty());
}

TEST_F(EpollTest, NothingIsReportedTwiceWhenOthersWereClosed) {
  const int ep = epoll();
  const int a = udp_socket(7000), b = udp_socket(7001), c = udp_socket(7002);
  for (const int fd : {a, b, c})
    ASSERT_TRUE(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN));
  for (const uint16_t port : {uint16_t{7000}, uint16_t{7001}, uint16_t{7002}})
    send_to(port, "x");
  EXPECT_EQ(wait(ep).size(), 3u);
  ASSERT_TRUE(sockets.close(b));
  ASSERT_TRUE(sockets.close(c));
  EXPECT_EQ(wait(ep).size(), 1u);
}

TEST_F(EpollTest, EdgeTriggeredReportsEachArrivalOnce) {
  const int fd = udp_socket(7000);
  const int ep = epoll();
  ASSERT_TRUE(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET));
  send_to(7000, "a");
  EXPECT_EQ(wait(ep).size(), 1u);
  EXPECT_TRUE(wait(ep).empty());
  send_to(7000, "b");
  EXPECT_EQ(wait(ep).size(), 1u);
  EXPECT_TRUE(wait(ep).empty());
}

TEST_F(EpollTest, AddingAReadySocketReportsItAndSoDoesModifying) {
  const int fd = udp_socket(7000);
  send_to(7000, "a");
  const int ep = epoll();
  ASSERT_TRUE(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET));
  EXPECT_EQ(wait(ep).size(), 1u);
  EXPECT_TRUE(wait(ep).empty());
  ASSERT_TRUE(ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLET));
  EXPECT_EQ(wait(ep).size(), 1u);
}

TEST_F(EpollTest, OneShotIsSilentUntilItIsArmedAgain) {
  const int fd = udp_socket(7000);
  const int ep = epoll();
  ASSERT_TRUE(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLONESHOT));
  send_to(7000, "a");
  EXPECT_EQ(wait(ep).size(), 1u);
  send_to(7000, "b");
  EXPECT_TRUE(wait(ep).empty());
  ASSERT_TRUE(ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT));
  EXPECT_EQ(wait(ep).size(), 1u);
  EXPECT_TRUE(wait(ep).empty());
}

TEST_F(EpollTest, ManyReadySocketsTakeTurns) {
  const int ep = epoll();
  std::vector<int> fds;
  for (uint16_t port = 7000; port < 7004; ++port) {
    fds.push_back(udp_socket(port));
    ASSERT_TRUE(ctl(ep, EPOLL_CTL_ADD, fds.back(), EPOLLIN));
    send_to(port, "x");
  }
  std::vector<int> seen;
  for (int i = 0; i < 4; ++i)
    seen.push_back(wait(ep, 1).at(0).data.fd);
  EXPECT_EQ(seen, fds);
}

TEST_F(EpollTest, WritableIsReportedAtOnce) {
  const int fd = udp_socket(7000);
  const int ep = epoll();
  ASSERT_TRUE(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLET));
  const auto events = wait(ep);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].events, uint32_t{EPOLLOUT});
}

TEST_F(EpollTest, ClosingTheLastDescriptorRemovesTheItem) {
  const int fd = udp_socket(7000);
  const int copy = sockets.dup(fd).value();
  const int ep = epoll();
  ASSERT_TRUE(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN));
  send_to(7000, "a");
  ASSERT_TRUE(sockets.close(fd));
  EXPECT_EQ(wait(ep).size(), 1u);  // the copy keeps the file open
  ASSERT_TRUE(sockets.close(copy));
  EXPECT_TRUE(wait(ep).empty());
}

TEST_F(EpollTest, ClosedSocketsDoNotPileUpInTheReadyList) {
  const int ep = epoll();
  for (int i = 0; i < 5000; ++i) {
    const int fd = udp_socket();
    ASSERT_TRUE(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLOUT));
    ASSERT_TRUE(sockets.close(fd));
  }
  EXPECT_TRUE(wait(ep).empty());
}

TEST_F(EpollTest, ErrorsAreThoseOfLinux) {
  const int fd = udp_socket(7000);
  const int ep = epoll();
  epoll_event e{};
  e.events = EPOLLIN;
  EXPECT_EQ(code(ctl(99, EPOLL_CTL_ADD, fd, EPOLLIN)), EBADF);
  EXPECT_EQ(code(ctl(ep, EPOLL_CTL_ADD, 99, EPOLLIN)), EBADF);
  EXPECT_EQ(code(ctl(ep, EPOLL_CTL_ADD, ep, EPOLLIN)), EINVAL);
  EXPECT_EQ(code(ctl(fd, EPOLL_CTL_ADD, ep, EPOLLIN)), EINVAL);
  EXPECT_EQ(code(sockets.epoll_ctl(ep, EPOLL_CTL_ADD, fd, nullptr)), EFAULT);
  EXPECT_EQ(code(ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN)), ENOENT);
  EXPECT_EQ(code(ctl(ep, EPOLL_CTL_DEL, fd, EPOLLIN)), ENOENT);
  EXPECT_EQ(code(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN)), 0);
  EXPECT_EQ(code(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN)), EEXIST);
  EXPECT_EQ(code(ctl(ep, 77, fd, EPOLLIN)), EINVAL);
  EXPECT_EQ(code(sockets.epoll_wait(ep, &e, 0, Duration())), EINVAL);
  EXPECT_EQ(code(sockets.epoll_wait(ep, &e, INT_MAX, Duration())), EINVAL);
  EXPECT_EQ(code(sockets.epoll_wait(fd, &e, 1, Duration())), EINVAL);
  EXPECT_EQ(code(sockets.epoll_create1(1)), EINVAL);
}

TEST_F(EpollTest, ExclusiveIsForAddingOnlyAndForFewEvents) {
  const int fd = udp_socket(7000);
  const int ep = epoll();
  EXPECT_EQ(code(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT)), EINVAL);
  EXPECT_EQ(code(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLRDHUP)), EINVAL);
  EXPECT_EQ(code(ctl(ep, EPOLL_CTL_ADD, epoll(), EPOLLIN | EPOLLEXCLUSIVE)), EINVAL);
  EXPECT_EQ(code(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE)), 0);
  EXPECT_EQ(code(ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN)), EINVAL);
}

TEST_F(EpollTest, AnEpollWithinAnEpollIsReadableWhenItHasEvents) {
  const int fd = udp_socket(7000);
  const int inner = epoll();
  const int outer = epoll();
  ASSERT_TRUE(ctl(inner, EPOLL_CTL_ADD, fd, EPOLLIN));
  ASSERT_TRUE(ctl(outer, EPOLL_CTL_ADD, inner, EPOLLIN));
  EXPECT_TRUE(wait(outer).empty());
  send_to(7000, "a");
  ASSERT_EQ(wait(outer).size(), 1u);
  EXPECT_EQ(wait(outer)[0].data.fd, inner);
  EXPECT_EQ(wait(inner)[0].data.fd, fd);
  EXPECT_TRUE(receive(fd));
  EXPECT_TRUE(wait(outer).empty());
}

TEST_F(EpollTest, CirclesAndDeepNestsAreRefused) {
  std::vector<int> chain = {epoll()};
  const int fd = udp_socket(7000);
  ASSERT_TRUE(ctl(chain[0], EPOLL_CTL_ADD, fd, EPOLLIN));
  for (int i = 1; i < 5; ++i) {
    chain.push_back(epoll());
    ASSERT_TRUE(ctl(chain.back(), EPOLL_CTL_ADD, chain[chain.size() - 2], EPOLLIN));
  }
  EXPECT_EQ(code(ctl(chain[0], EPOLL_CTL_ADD, chain[4], EPOLLIN)), ELOOP);
  EXPECT_EQ(code(ctl(epoll(), EPOLL_CTL_ADD, chain[4], EPOLLIN)), ELOOP);
}

TEST_F(EpollTest, ClosingTheEpollLeavesItsSocketsAlone) {
  const int fd = udp_socket(7000);
  const int ep = epoll();
  ASSERT_TRUE(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN));
  ASSERT_TRUE(sockets.close(ep));
  send_to(7000, "a");
  EXPECT_TRUE(receive(fd));
}

TEST_F(EpollTest, PollAndSelectSayTheSame) {
  const int fd = udp_socket(7000);
  pollfd p[3] = {{fd, POLLIN | POLLOUT, 0}, {-1, POLLIN, 7}, {55, POLLIN, 0}};
  EXPECT_EQ(sockets.poll(p, Duration()), 2);
  EXPECT_EQ(p[0].revents, POLLOUT);
  EXPECT_EQ(p[1].revents, 0);
  EXPECT_EQ(p[2].revents, POLLNVAL);
  send_to(7000, "a");
  EXPECT_EQ(sockets.poll({p, 1}, Duration()), 1);
  EXPECT_EQ(p[0].revents, POLLIN | POLLOUT);
  fd_set read;
  fd_set write;
  FD_ZERO(&read);
  FD_ZERO(&write);
  FD_SET(fd, &read);
  FD_SET(fd, &write);
  EXPECT_EQ(sockets.select(fd + 1, &read, &write, nullptr, Duration()), 2);
  EXPECT_TRUE(FD_ISSET(fd, &read));
  EXPECT_TRUE(receive(fd));
  EXPECT_EQ(sockets.select(fd + 1, &read, nullptr, nullptr, Duration()), 0);
  EXPECT_FALSE(FD_ISSET(fd, &read));
  FD_SET(40, &read);
  (void)sockets.fcntl(fd, F_DUPFD, 41);
  EXPECT_EQ(code(sockets.select(41, &read, nullptr, nullptr, Duration())), EBADF);
}

}  // namespace
}  // namespace leat::socket
