"""ICMP echo and UDP, both ways; a datagram of 60,000 bytes travels in fragments."""
import socket

RELEASE = True
TIMEOUT = 60


def _family(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def test_the_kernel_pings_leat(t):
    (t.dir / "www").mkdir()
    t.leat_serve(t.dir / "www")
    for host in (t.leat4, t.leat6):
        said = t.run_checked("ping", "-c", 5, "-i", 0.05, "-W", 2, host)
        t.check(" 0% packet loss" in said, said)
        t.run_checked("ping", "-c", 2, "-i", 0.05, "-W", 2, "-s", 8000, host)


def test_leat_pings_the_kernel(t):
    for host in (t.kernel4, t.kernel6):
        said = t.leat_run("ping", "-c", 3, "-i", 0.05, host)
        t.check(" 0% packet loss" in said, said)


def test_datagrams_of_60000_bytes_reach_leat(t):
    wanted = bytes(i * 7 % 251 for i in range(60000))
    for host in (t.leat4, t.leat6):
        server = t.leat("nc", "-l", "-u", *(("-6",) if ":" in host else ("-4",)), "5000")
        with socket.socket(_family(host), socket.SOCK_DGRAM) as s:
            s.settimeout(5)
            s.connect((host, 5000))
            s.send(wanted)
            t.wait_until(lambda: server.log.read_bytes().endswith(wanted), timeout=10, what=f"the datagram at {host}")
        server.stop()


def test_datagrams_of_60000_bytes_leave_leat(t):
    wanted = bytes(i * 11 % 251 for i in range(60000))
    for host in (t.kernel4, t.kernel6):
        with socket.socket(_family(host), socket.SOCK_DGRAM) as s:
            s.settimeout(10)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            s.bind(("::" if ":" in host else "0.0.0.0", 5001))
            t.leat_run("nc", "-u", "-q", 1, host, 5001, stdin=wanted)
            t.equal(s.recv(65535), wanted, f"the datagram to {host}")
