// lwIP beside `leat serve`: the smallest HTTP server over Debian's liblwip, on a TUN device, for bench/run. Its raw
// API, one thread, no tcpip thread, lwIP's fastest way. GET sends SIZE bytes from memory; PUT swallows its body.
//   bench_lwip_bulk TUN ADDRESS NETMASK SIZE       (the device exists and is up; ends by SIGTERM)
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "lwip/init.h"
#include "lwip/ip.h"
#include "lwip/netif.h"
#include "lwip/tcp.h"
#include "lwip/timeouts.h"

namespace {

constexpr uint32_t kMtu = 1500;
int tun_fd = -1;
uint64_t get_size = 0;
char zeros[65536];

struct Connection {
  std::string head;
  bool in_body = false;
  bool is_put = false;
  uint64_t left = 0;  // of the body, either way
};

err_t output(netif*, pbuf* p, const ip4_addr_t*) {
  char frame[kMtu];
  const u16_t n = pbuf_copy_partial(p, frame, kMtu, 0);
  return write(tun_fd, frame, n) == n ? ERR_OK : ERR_IF;
}

err_t init_netif(netif* n) {
  n->name[0] = 't';
  n->name[1] = 'n';
  n->mtu = kMtu;
  n->output = output;
  n->flags |= NETIF_FLAG_LINK_UP;
  return ERR_OK;
}

void send_more(tcp_pcb* pcb, Connection* c) {
  while (!c->is_put && c->in_body && c->left != 0) {
    uint64_t n = tcp_sndbuf(pcb);
    if (n > c->left) n = c->left;
    if (n > sizeof zeros) n = sizeof zeros;
    if (n == 0 || tcp_write(pcb, zeros, static_cast<u16_t>(n), 0) != ERR_OK) break;
    c->left -= n;
  }
  tcp_output(pcb);
}

void answer(tcp_pcb* pcb, const std::string& text) {
  tcp_write(pcb, text.data(), static_cast<u16_t>(text.size()), TCP_WRITE_FLAG_COPY);
}

void begin(tcp_pcb* pcb, Connection* c, size_t end_of_head) {
  c->in_body = true;
  c->is_put = c->head.rfind("PUT", 0) == 0;
  if (c->is_put) {
    const size_t at = c->head.find("Content-Length: ");
    const uint64_t length = at == std::string::npos ? 0 : std::strtoull(c->head.c_str() + at + 16, nullptr, 10);
    c->left = length - (c->head.size() - end_of_head);
  } else {
    c->left = get_size;
    answer(pcb, "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(get_size) + "\r\n\r\n");
  }
}

err_t on_data(void* arg, tcp_pcb* pcb, pbuf* p, err_t) {
  auto* c = static_cast<Connection*>(arg);
  if (p == nullptr) {
    delete c;
    tcp_arg(pcb, nullptr);
    tcp_recv(pcb, nullptr);
    tcp_sent(pcb, nullptr);
    tcp_err(pcb, nullptr);
    return tcp_close(pcb);
  }
  const u16_t n = p->tot_len;
  if (c->is_put && c->in_body) {
    c->left -= n;
  } else if (!c->in_body) {
    const size_t had = c->head.size();
    c->head.resize(had + n);
    pbuf_copy_partial(p, c->head.data() + had, n, 0);
    const size_t end = c->head.find("\r\n\r\n");
    if (end != std::string::npos) begin(pcb, c, end + 4);
  }
  if (c->is_put && c->in_body && c->left == 0) answer(pcb, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
  tcp_recved(pcb, n);
  pbuf_free(p);
  send_more(pcb, c);
  return ERR_OK;
}

err_t on_sent(void* arg, tcp_pcb* pcb, u16_t) {
  send_more(pcb, static_cast<Connection*>(arg));
  return ERR_OK;
}

void on_error(void* arg, err_t) {
  delete static_cast<Connection*>(arg);
}

err_t on_accept(void*, tcp_pcb* pcb, err_t e) {
  if (e != ERR_OK || pcb == nullptr) return ERR_VAL;
  tcp_arg(pcb, new Connection);
  tcp_recv(pcb, on_data);
  tcp_sent(pcb, on_sent);
  tcp_err(pcb, on_error);
  return ERR_OK;
}

bool open_tun(const char* name) {
  tun_fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  ifreq r{};
  std::strncpy(r.ifr_name, name, IFNAMSIZ - 1);
  r.ifr_flags = IFF_TUN | IFF_NO_PI;
  return tun_fd >= 0 && ioctl(tun_fd, TUNSETIFF, &r) == 0;
}

void turn(netif* n) {
  static uint8_t frame[kMtu];
  for (int i = 0; i < 64; ++i) {
    const ssize_t got = read(tun_fd, frame, sizeof frame);
    if (got <= 0) {
      pollfd f{tun_fd, POLLIN, 0};
      poll(&f, 1, 10);
      break;
    }
    // Not PBUF_POOL: in Debian 12's library its elements are smaller than pbuf_alloc believes (ASan says so).
    pbuf* p = pbuf_alloc(PBUF_RAW, static_cast<u16_t>(got), PBUF_RAM);
    if (p == nullptr) continue;
    pbuf_take(p, frame, static_cast<u16_t>(got));
    if (n->input(p, n) != ERR_OK) pbuf_free(p);
  }
  sys_check_timeouts();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return std::fprintf(stderr, "usage: bench_lwip_bulk TUN ADDRESS NETMASK SIZE\n"), 2;
  get_size = std::strtoull(argv[4], nullptr, 10);
  if (!open_tun(argv[1])) return std::perror("tun"), 1;
  lwip_init();
  ip4_addr_t address{inet_addr(argv[2])}, mask{inet_addr(argv[3])}, gateway{0};
  netif n{};
  if (netif_add(&n, &address, &mask, &gateway, nullptr, init_netif, ip_input) == nullptr) return 1;
  netif_set_default(&n);
  netif_set_up(&n);
  tcp_pcb* l = tcp_new();
  if (tcp_bind(l, IP_ANY_TYPE, 80) != ERR_OK) return 1;
  l = tcp_listen(l);
  tcp_accept(l, on_accept);
  for (;;)
    turn(&n);
}
