// Two Stacks of this process, joined in memory, and many connections between them: what `leat million` opens, looks
// at and holds. Both ends are real sockets: non-blocking, keepalive on, registered with a poller. Nothing here costs
// memory for a connection: descriptors of the client are consecutive, and that is all that is remembered of them.
#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "leat/stack.h"

namespace leat::cli {

// How more connections are opened than one address has ports.
enum class Strategy : uint8_t {
  kSourceAddresses,  // many addresses here, one there; IP_BIND_ADDRESS_NO_PORT leaves the port to connect()
  kDestinations,     // one address here, many there: connect() shares the ports among them
  kBound,            // bind() to port 0 takes a port for one connection alone, and keeps it from being shared
};

struct PairOptions {
  uint64_t connections = 0;
  Strategy strategy = Strategy::kSourceAddresses;
  std::vector<std::string> sysctls;
};

class MillionPair {
 public:
  explicit MillionPair(const PairOptions& o);  // throws Failure
  MillionPair(const MillionPair&) = delete;
  MillionPair& operator=(const MillionPair&) = delete;

  Stack& server() { return *server_; }
  Stack& client() { return *client_; }
  uint64_t opened() const { return opened_; }
  size_t client_addresses() const { return sources_; }
  size_t server_addresses() const { return destinations_; }

  Time now() const;  // the monotonic clock, and what was skipped
  void skip(Duration d) { skipped_ = skipped_ + d; }
  void turn();  // one of each Stack, and what its poller reports
  Time next_deadline() const;

  // Opens some more, and is back when each has exchanged bytes both ways. throws Failure
  void open_some(uint64_t at_most);
  // Sends on `count` connections chosen at random; how many were answered with the same bytes.
  uint64_t echo_on(uint64_t count);
  void close_all(const std::function<void(uint64_t)>& on_closed);

  // connect() where a share of `ports` ports was bound first: how many connections two destinations got.
  struct Mix {
    int ports = 0, bound = 0, shared = 0;
    int error = 0;  // of the first connect() that found no port
  };
  Mix mix(int ports, int bound);

 private:
  struct Flight {
    int fd;
    bool is_sent;
  };
  static constexpr uint64_t kPerAddress = 50'000;
  static constexpr uint64_t kBatch = 256;

  void make_stacks(const PairOptions& o);
  void add_addresses();
  void listen_on_server();
  int open_one();
  void try_send(Flight& f);
  void serve_events();
  void accept_all();
  void read_answers();
  void pump(const std::function<bool()>& is_done, const char* what);
  void enlist(Stack& stack, int poller, int fd);

  const PairOptions options_;
  uint64_t sources_ = 1, destinations_ = 1;
  std::unique_ptr<Stack> server_, client_;
  int server_if_ = 0, client_if_ = 0;
  int listener_ = -1, server_poller_ = -1, client_poller_ = -1;
  int first_fd_ = -1;  // of the client's connections
  Duration skipped_;
  uint64_t opened_ = 0, accepted_ = 0, answered_ = 0, closed_ = 0, wrong_ = 0;
  uint64_t chosen_ = 1;  // state of the generator that chooses samples
};

}  // namespace leat::cli
