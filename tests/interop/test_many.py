"""Many connections at once, and many one after another; nothing is left of them."""
import re
import socket

RELEASE = True
TIMEOUT = 180


def test_2000_keep_alive_connections_have_no_error(t):
    t.need("wrk")
    t.make_file("www/file", 1000)
    server = t.leat_serve(t.dir / "www", control="control")
    said = t.run_checked("wrk", "--threads", 2, "--connections", 2000, "--duration", "8s", "--timeout", "8s",
                         t.url(t.leat4, "file"), timeout=60)
    print(said)
    t.check("Socket errors" not in said and "Non-2xx" not in said, f"wrk: {said}")
    requests = int(re.search(r"(\d+) requests in", said).group(1))
    t.check(requests >= 2000, f"only {requests} requests")
    server.stop()


def _connections(t):
    rows = t.leat_ask("ss", "-tanH").splitlines()
    return [row for row in rows if not row.startswith("LISTEN")]


def test_20000_connections_one_after_another_leave_nothing(t):
    t.make_file("www/x", 10)
    server = t.leat_serve(t.dir / "www", control="control", sysctl=("net.ipv4.tcp_max_tw_buckets=100",))
    for i in range(20000):
        with socket.create_connection((t.leat4, 80), timeout=10) as s:
            s.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            while s.recv(4096):
                pass
    live = [row for row in _connections(t) if not row.startswith("TIME-WAIT")]
    t.wait_until(lambda: not [row for row in _connections(t) if not row.startswith("TIME-WAIT")], timeout=20,
                 what="the end of all connections")
    print(f"right behind the last one: {len(live)}; then none")
    said = t.leat_ask("nstat", "-az")
    opened = int(re.search(r"TcpPassiveOpens\s+(\d+)", said).group(1))
    t.check(opened >= 20000, f"TcpPassiveOpens {opened}")
    server.stop()
