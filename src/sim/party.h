// Applications: what runs on a host and speaks over one connection. Each is called by the host's Poller.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "sim/simulation.h"
#include "sim/transfer.h"

namespace leat::sim {

// How fast an application takes what has come.
struct Pace {
  size_t bytes = SIZE_MAX;  // at once
  Duration pause;           // and then it looks away for so long
  bool is_slow() const { return bytes != SIZE_MAX; }
};

// One end of a connection: it is open until it has sent everything and read the peer's end.
class Party {
 public:
  virtual ~Party();
  Party(const Party&) = delete;
  Party& operator=(const Party&) = delete;

  void start(Socket socket);  // connected, or about to be
  bool is_done() const { return is_done_; }
  bool has_started() const { return socket_.is_open() || is_done_; }
  const std::string& failure() const { return failure_; }
  Socket& socket() { return socket_; }
  Host& host() { return host_; }

 protected:
  explicit Party(Host& host) : host_(host) {}
  // What it does with the events that it waits for; gives those that it waits for next. kNone: it does not look until
  // wait_for() is called. kThrough: it closes.
  static constexpr uint32_t kNone = 0, kThrough = UINT32_MAX;
  virtual uint32_t on_events(uint32_t events) = 0;
  uint32_t fail(const std::string& what);
  void wait_for(uint32_t events);

 private:
  void on_ready(uint32_t events);
  void stop();

  Host& host_;
  Socket socket_;
  uint32_t waits_for_ = 0;
  bool is_done_ = false;
  std::string failure_;
};

// Sends so many bytes and receives so many, both at once.
class Exchange final : public Party {
 public:
  struct Options {
    Pattern out, in;
    uint64_t send_bytes = 0, receive_bytes = 0;
    size_t chunk = 65536;
    Pace pace;
  };
  Exchange(Simulation& simulation, Host& host, const Options& options);
  const Sender& sender() const { return sender_; }
  const Receiver& receiver() const { return receiver_; }

 private:
  uint32_t on_events(uint32_t events) override;
  void look_away();

  Simulation& simulation_;
  Sender sender_;
  Receiver receiver_;
  const Pace pace_;
  bool is_looking_away_ = false;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);  // for calls that come later
};

// Questions and answers, one at a time: each side waits for the whole of what the other says.
class Talk final : public Party {
 public:
  struct Options {
    Pattern questions, answers;
    uint32_t rounds = 100, question_bytes = 100, answer_bytes = 1000;
    bool asks = true;
  };
  Talk(Host& host, const Options& options);
  uint32_t rounds() const { return rounds_; }  // through

 private:
  uint32_t on_events(uint32_t events) override;
  uint32_t speak();
  bool listen();  // false: not the whole yet, or failed
  bool is_through() const { return rounds_ == options_.rounds; }

  const Options options_;
  uint32_t rounds_ = 0;
  uint64_t said_ = 0, heard_ = 0;  // bytes of the whole talk
  bool is_speaking_;
  bool has_ended_ = false;
};

// Accepts connections on a port and hands them on.
class Acceptor {
 public:
  Acceptor(Host& host, std::string_view address, uint16_t port, std::function<void(Socket)> on_socket);
  ~Acceptor();
  void close();
  Socket& socket() { return socket_; }

 private:
  Host& host_;
  Socket socket_;
  std::function<void(Socket)> on_socket_;
};

// Connects; again a second later when that fails, as it may when an ICMP error was made of a broken SYN.
class Dialer {
 public:
  Dialer(Simulation& simulation, Host& host, std::string_view address, uint16_t port,
         std::function<void(Socket)> on_socket);
  ~Dialer();
  void set_up(std::function<void(Socket&)> f) { set_up_ = std::move(f); }  // before connect
  void dial();
  uint32_t failures() const { return failures_; }
  const std::string& failure() const { return failure_; }  // it gave up

 private:
  void on_ready();
  void on_failure(int error);

  Simulation& simulation_;
  Host& host_;
  const std::string address_;
  const uint16_t port_;
  std::function<void(Socket)> on_socket_;
  std::function<void(Socket&)> set_up_;
  Socket socket_;
  uint32_t failures_ = 0;
  std::string failure_;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

}  // namespace leat::sim
