"""ICMP echo, and nc over UDP and TCP, both ways; a datagram of 60,000 bytes travels in fragments."""
import socket
import subprocess

RELEASE = True
TIMEOUT = 60


def _family(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _flag(host):
    return "-6" if ":" in host else "-4"


def _pattern(size, factor):
    return bytes(i * factor % 251 for i in range(size))


def test_the_kernel_pings_leat(t):
    (t.dir / "www").mkdir()
    t.leat_serve(t.dir / "www")
    for host in (t.leat4, t.leat6):
        said = t.run_checked("ping", "-c", 5, "-i", 0.05, "-W", 2, host)
        t.check(" 0% packet loss" in said, said)
        said = t.run_checked("ping", _flag(host), "-c", 3, "-i", 0.05, "-W", 2, "-s", 60000, host)
        t.check(" 0% packet loss" in said, said)


def test_leat_pings_the_kernel(t):
    for host in (t.kernel4, t.kernel6):
        for size in (56, 60000):
            said = t.leat_run("ping", "-c", 3, "-i", 0.05, "-s", size, host)
            t.check("3 packets transmitted, 3 received, 0% packet loss" in said, said)
    said = t.leat_run("ping", "-c", 2, "-i", 0.05, "-W", 0.2, "10.9.0.77", expect=1)
    t.check("2 packets transmitted, 0 received, 100% packet loss" in said, said)


def test_datagrams_of_60000_bytes_and_answers_with_leat_as_server(t):
    for host in (t.leat4, t.leat6):
        (t.dir / "answer").write_bytes(_pattern(60000, 11))
        with open(t.dir / "answer", "rb") as answer:
            server = t.leat("nc", "-l", "-u", "-q", 3, _flag(host), "5000", stdin=answer)
        with socket.socket(_family(host), socket.SOCK_DGRAM) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            s.settimeout(5)
            s.connect((host, 5000))
            t.wait_until(lambda: _answers(s, _pattern(60000, 7)) == _pattern(60000, 11), timeout=10,
                         what=f"the answer of {host}")
        t.wait_until(lambda: _pattern(60000, 7) in server.log.read_bytes(), timeout=10, what=f"the datagram at {host}")
        server.wait()


def _answers(s, datagram):
    """Sends until someone is there who answers."""
    try:
        s.send(datagram)
        return s.recv(65535)
    except ConnectionRefusedError:
        return None


def test_datagrams_of_60000_bytes_and_answers_with_leat_as_client(t):
    (t.dir / "question").write_bytes(_pattern(60000, 11))
    for host in (t.kernel4, t.kernel6):
        with socket.socket(_family(host), socket.SOCK_DGRAM) as s:
            s.settimeout(10)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            s.bind(("::" if ":" in host else "0.0.0.0", 5001))  # leat makes the device
            with open(t.dir / "question", "rb") as question:
                client = t.start("leat-nc", *t.leat_command("nc", "-u", "-q", 2, host, 5001), stdin=question, expect=0)
            got, leat = s.recvfrom(65535)
            t.equal(got, _pattern(60000, 11), f"the datagram to {host}")
            s.sendto(_pattern(60000, 7), leat)
            t.wait_until(lambda: _pattern(60000, 7) in client.log.read_bytes(), timeout=10, what="the answer")
        client.wait()


def test_the_kernels_nc_talks_udp_with_leats(t):
    t.need("nc")
    for host in (t.leat4, t.leat6):
        server = t.leat("nc", "-l", "-u", _flag(host), "5000", stdin=subprocess.PIPE)
        server.wait_for_output("listening")
        client = t.start("nc", "nc", "-u", host, "5000", stdin=subprocess.PIPE, expect=None)
        client.process.stdin.write(b"from the kernel\n")
        client.process.stdin.flush()
        server.wait_for_output("from the kernel")
        server.process.stdin.write(b"from leat\n")
        server.process.stdin.flush()
        client.wait_for_output("from leat")
        client.stop(expect=None)
        server.stop()


def test_nc_carries_files_over_tcp_both_ways_at_once(t):
    t.need("nc")
    up, down = t.make_file("up", 5_000_000, seed=1), t.make_file("down", 7_000_000, seed=2)
    for number, host in enumerate((t.leat4, t.leat6)):
        out = t.dir / f"at-leat-{number}"
        with open(t.dir / "down", "rb") as down_file, open(out, "wb") as out_file:
            command = t.leat_command("nc", "-l", _flag(host), "5000")
            leat = subprocess.Popen(command, stdin=down_file, stdout=out_file, stderr=subprocess.PIPE)
        try:
            t.wait_until(lambda: t.has_addresses("leat0", [t.kernel4, t.kernel6]), what="leat0")
            leat.stderr.readline()  # listening
            with open(t.dir / "up", "rb") as up_file, open(t.dir / "at-kernel", "wb") as at_kernel:
                subprocess.run(["nc", "-N", host, "5000"], stdin=up_file, stdout=at_kernel, timeout=30, check=True)
            t.equal(leat.wait(15), 0, "exit code of leat nc")
        finally:
            leat.kill()
        t.equal(t.sha256(out), up, f"sha256 at {host}")
        t.equal(t.sha256("at-kernel"), down, f"sha256 from {host}")


def test_nc_that_keeps_listening_answers_the_next_peer_when_standard_input_is_over(t):
    t.leat("nc", "-l", "-k", 5000, expect=None).wait_for_output("listening")
    for _ in range(2):
        got = t.run_checked("nc", "-N", t.leat4, 5000, stdin=b"hello\n", timeout=10)
        t.equal(got, "", "what leat said")


def test_a_closed_port_is_refused_at_once(t):
    for host in (t.kernel4, t.kernel6):
        run = subprocess.run(t.leat_command("nc", host, "9"), capture_output=True, stdin=subprocess.DEVNULL, timeout=20,
                             check=False, text=True)
        t.equal(run.returncode, 1, "exit code")
        t.check("Connection refused" in run.stderr and run.stderr.count("\n") == 1, run.stderr)
