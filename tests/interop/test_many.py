"""Many connections at once, and many one after another; nothing is left of them."""
import re
import socket
import time

RELEASE = True
TIMEOUT = 240


def test_2000_keep_alive_connections_have_no_error(t):
    t.need("wrk")
    t.make_file("www/file", 1000)
    server = t.leat_serve(t.dir / "www", control="control")
    for host in (t.leat4, t.leat6):
        said = t.run_checked("wrk", "--threads", 2, "--connections", 2000, "--duration", "6s", "--timeout", "10s",
                             t.url(host, "file"), timeout=60)
        print(said)
        t.check("Socket errors" not in said and "Non-2xx" not in said, f"wrk: {said}")
        requests = int(re.search(r"(\d+) requests in", said).group(1))
        t.check(requests >= 4000, f"only {requests} requests")
    t.check_nothing_left()
    server.stop()


def _request(address, closes):
    """One connection with one request; `closes`: who closes first."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as s:
        s.settimeout(10)
        s.connect((address, 80))
        header = "Connection: close\r\n" if closes == "leat" else ""
        s.sendall(f"GET /x HTTP/1.1\r\nHost: x\r\n{header}\r\n".encode())
        said = b""
        while closes == "leat" or not said.endswith(b"0123456789"):
            piece = s.recv(4096)
            if not piece:
                break
            said += piece
        return said.startswith(b"HTTP/1.1 200") and said.endswith(b"0123456789")


def test_20000_connections_one_after_another_leave_nothing(t):
    (t.dir / "www").mkdir()
    (t.dir / "www/x").write_text("0123456789")
    server = t.leat_serve(t.dir / "www", control="control")
    # The kernel must not run out of ports: its own time-waits are taken over after a second.
    t.run_checked("sysctl", "-qw", "net.ipv4.tcp_tw_reuse=1", "net.ipv4.ip_local_port_range=1024 65535")
    before = t.leat_counters()["TcpPassiveOpens"]
    began = time.monotonic()
    # First those that leat closes: it keeps a time-wait of each for a minute, which passes meanwhile.
    for closes, number in (("leat", 10_000), ("kernel", 10_000)):
        for i in range(number):
            t.check(_request((t.leat4, t.leat6)[i % 2], closes), f"request {i} was not answered")
        print(f"{number} closed first by {closes}: {time.monotonic() - began:.1f} s, {t.leat_slabs()}")
    counters = t.leat_counters()
    t.equal(counters["TcpPassiveOpens"] - before, 20_000, "TcpPassiveOpens")
    t.equal(counters["TcpRetransSegs"], 0, "TcpRetransSegs")
    t.check_nothing_left(timeout=75)
    t.equal(t.leat_counters()["TcpCurrEstab"], 0, "TcpCurrEstab")
    # The listener is the only socket; it is dual, so it stands under IPv6.
    t.equal(t.leat_sockstat()["TCP"], {"inuse": 0, "orphan": 0, "tw": 0, "alloc": 1, "mem": 0}, "sockstat")
    t.equal(t.leat_ask("ss", "-tanH"), "LISTEN 0 4096 *:80 *:*\n", "ss")
    server.stop()
