// The control socket against clients that are honest, slow, silent, or talk rubbish.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <fstream>
#include <random>
#include <thread>

#include "diag/control_client.h"
#include "diag/control_server.h"

namespace leat::diag {
namespace {

class Control : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/leat-control-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    dir_ = name;
    path_ = dir_ + "/s";
    open();
  }
  void TearDown() override {
    server_.reset();
    EXPECT_NE(access(path_.c_str(), F_OK), 0) << "the file is left";
    unlink(path_.c_str());
    rmdir(dir_.c_str());
  }
  void open() {
    auto run = [this](std::string_view verb, std::span<const std::string> words) {
      ++runs_;
      Answer a{3, std::string(verb), "e"};
      for (const std::string& w : words)
        a.out += "|" + w;
      if (verb == "large") a.out.assign(8 << 20, 'x');
      if (verb == "pieces") {
        a.more = [left = 5](std::string& out) mutable {
          out = std::string(100'000, static_cast<char>('0' + left));
          return --left > 0;
        };
      }
      return a;
    };
    std::string error;
    auto server = ControlServer::open(path_, run, error);
    ASSERT_TRUE(server) << error;
    server_ = std::move(*server);
  }
  int connect() const {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    std::memcpy(a.sun_path, path_.c_str(), path_.size() + 1);
    EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&a), sizeof a), 0) << strerror(errno);
    return fd;
  }
  void serve(int turns = 6) {
    for (int i = 0; i < turns; ++i)
      server_->serve(now_);
  }
  static std::string read_all(int fd) {
    std::string text;
    char buffer[65536];
    for (ssize_t n; (n = recv(fd, buffer, sizeof buffer, 0)) > 0;)
      text.append(buffer, static_cast<size_t>(n));
    return text;
  }
  std::string say(std::string_view bytes) {
    const int fd = connect();
    EXPECT_EQ(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
    serve();
    std::string answer = read_all(fd);
    ::close(fd);
    serve();
    return answer;
  }

  std::string dir_, path_;
  std::unique_ptr<ControlServer> server_;
  Time now_ = Time::from_ns(1);
  int runs_ = 0;
};

constexpr const char* kRubbish =
    "{\"err\":\"wanted one line of JSON: {\\\"verb\\\": \\\"ss\\\", \\\"args\\\": "
    "[]}\\n\",\"out\":\"\",\"status\":2}\n";

TEST_F(Control, ALineOfJsonIsAnswered) {
  EXPECT_EQ(say("{\"verb\":\"ss\",\"args\":[\"-t\",\"a b\"]}\n"),
            "{\"err\":\"e\",\"out\":\"ss|-t|a b\",\"status\":3}\n");
  EXPECT_EQ(say("{\"verb\":\"nstat\"}\n"), "{\"err\":\"e\",\"out\":\"nstat\",\"status\":3}\n");
  EXPECT_EQ(say("{\"verb\":\"a\"}\n{\"verb\":\"b\"}\n"),
            "{\"err\":\"e\",\"out\":\"a\",\"status\":3}\n{\"err\":\"e\",\"out\":\"b\",\"status\":3}\n");
}

TEST_F(Control, ARequestMayComeByteByByte) {
  const int fd = connect();
  for (char c : std::string("{\"verb\":\"ss\"}\n")) {
    ASSERT_EQ(send(fd, &c, 1, 0), 1);
    serve(1);
  }
  serve();
  EXPECT_EQ(read_all(fd), "{\"err\":\"e\",\"out\":\"ss\",\"status\":3}\n");
  ::close(fd);
}

TEST_F(Control, RubbishIsRefusedAndNeverRun) {
  for (const char* text :
       {"\n", "GET / HTTP/1.1\r\n", "[]\n", "{}\n", "{\"verb\":1}\n", "{\"verb\":\"ss\",\"args\":{}}\n",
        "{\"verb\":\"ss\",\"args\":[1]}\n", "{\"verb\":\"ss\"\n", "\xff\xfe\n"}) {
    EXPECT_EQ(say(text), kRubbish) << text;
  }
  EXPECT_EQ(say(std::string(60000, '[') + "\n"), kRubbish);
  EXPECT_EQ(say(std::string(1, '\0') + "\n"), kRubbish);
  EXPECT_EQ(runs_, 0);
  EXPECT_EQ(server_->clients(), 0u);
}

TEST_F(Control, ALineWithoutEndIsCutOff) {
  const int fd = connect();
  const std::string piece(16384, 'a');
  for (int i = 0; i < 5; ++i) {
    send(fd, piece.data(), piece.size(), MSG_NOSIGNAL);
    serve(1);
  }
  serve();
  EXPECT_EQ(read_all(fd), kRubbish);
  ::close(fd);
  EXPECT_EQ(server_->clients(), 0u);
}

TEST_F(Control, RandomBytesDoNoHarm) {
  std::mt19937 random(7);
  for (int i = 0; i < 300; ++i) {
    std::string text(random() % 300, 0);
    for (char& c : text)
      c = static_cast<char>(random() % 4 == 0 ? "{}[]\",:\n"[random() % 8] : random());
    const int fd = connect();
    send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    serve(2);
    ::close(fd);
    serve(2);
  }
  EXPECT_EQ(server_->clients(), 0u);
}

TEST_F(Control, AnAnswerThatNobodyTakesIsGivenUp) {
  const int fd = connect();
  const std::string request = "{\"verb\":\"large\"}\n";
  send(fd, request.data(), request.size(), 0);
  serve();
  EXPECT_EQ(server_->clients(), 1u);
  now_ = server_->next_deadline();
  serve();
  EXPECT_EQ(server_->clients(), 0u);
  EXPECT_EQ(server_->next_deadline(), Time::never());
  ::close(fd);
}

TEST_F(Control, ALargeAnswerArrivesInPieces) {
  const int fd = connect();
  const std::string request = "{\"verb\":\"large\"}\n";
  send(fd, request.data(), request.size(), 0);
  std::string got;
  for (int i = 0; i < 1000 && !got.ends_with("\n"); ++i) {
    serve(1);
    got += read_all(fd);
  }
  EXPECT_EQ(got.size(), (8u << 20) + std::strlen("{\"err\":\"e\",\"out\":\"\",\"status\":3}\n"));
  ::close(fd);
}

TEST_F(Control, SilentClientsGoAndOthersGetTheirTurn) {
  std::vector<int> fds;
  for (size_t i = 0; i < ControlServer::kMaxClients + 4; ++i)
    fds.push_back(connect());
  serve();
  EXPECT_EQ(server_->clients(), ControlServer::kMaxClients);
  now_ = now_ + ControlServer::kPatience;
  serve(4);
  EXPECT_EQ(server_->clients(), 4u);
  for (int fd : fds)
    ::close(fd);
  serve(4);
  EXPECT_EQ(server_->clients(), 0u);
}

TEST_F(Control, TheFileIsForItsOwnerOnly) {
  struct stat s{};
  ASSERT_EQ(stat(path_.c_str(), &s), 0);
  EXPECT_EQ(s.st_mode & 07777, 0600u);
}

TEST_F(Control, APathInUseIsRefusedAndAStaleOneTakenOver) {
  std::string error;
  auto run = [](std::string_view, std::span<const std::string>) { return Answer{}; };
  auto second = ControlServer::open(path_, run, error);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error(), Errno{EADDRINUSE});
  EXPECT_EQ(error,
            "cannot make control socket '" + path_ + "': another leat uses it (choose with --name or --control)");

  const std::string stale = dir_ + "/stale";
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  std::memcpy(a.sun_path, stale.c_str(), stale.size() + 1);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&a), sizeof a), 0);
  ::close(fd);
  EXPECT_TRUE(ControlServer::open(stale, run, error)) << error;
  EXPECT_NE(access(stale.c_str(), F_OK), 0);

  const std::string file = dir_ + "/file";
  std::ofstream(file) << "precious";
  EXPECT_FALSE(ControlServer::open(file, run, error));
  EXPECT_EQ(access(file.c_str(), F_OK), 0);
  unlink(file.c_str());
  EXPECT_FALSE(ControlServer::open(std::string(200, 'x'), run, error));
}

TEST_F(Control, TheClientGetsItsAnswerAndSaysWhyNot) {
  std::thread answering([this] {
    for (int i = 0; i < 2000 && runs_ == 0; ++i) {
      server_->serve(now_);
      usleep(1000);
    }
  });
  std::string error;
  const std::vector<std::string> words = {"-a", "-z"};
  const auto answer = ask(path_, "nstat", words, error);
  answering.join();
  ASSERT_TRUE(answer) << error;
  EXPECT_EQ(answer->status, 3);
  EXPECT_EQ(answer->out, "nstat|-a|-z");
  EXPECT_FALSE(ask(dir_ + "/none", "ss", words, error));
  EXPECT_EQ(error, "no leat answers at '" + dir_ + "/none': No such file or directory");
}

TEST_F(Control, ALongAnswerComesInPiecesAndTheLastLineHasTheStatus) {
  std::atomic<bool> is_done = false;
  std::string out, joined, error;
  std::thread client([&] {
    const auto whole = ask(path_, "pieces", {}, error);
    if (whole) joined = whole->out;
    (void)ask(path_, "pieces", {}, error, [&](std::string_view piece) {
      out += piece;
      return true;
    });
    is_done = true;
  });
  while (!is_done)
    serve();
  client.join();
  EXPECT_EQ(out.size(), 500'000u) << error;
  EXPECT_EQ(out.substr(0, 2) + out.substr(499'998), "5511");
  EXPECT_EQ(out, joined);
}

TEST_F(Control, WhoWantsNoMoreOfALongAnswerLeaves) {
  std::atomic<bool> is_done = false;
  std::string error;
  size_t pieces = 0;
  std::thread client([&] {
    (void)ask(path_, "pieces", {}, error, [&](std::string_view) { return ++pieces < 2; });
    is_done = true;
  });
  while (!is_done)
    serve();
  client.join();
  serve();
  EXPECT_EQ(pieces, 2u);
  EXPECT_EQ(server_->clients(), 0u);
}

}  // namespace
}  // namespace leat::diag
