"""The control socket: ss, nstat, sysctl and proc of a leat that runs; garbage does no harm."""
import os
import random
import re
import socket
import stat
import struct
import subprocess

TIMEOUT = 90


def _server(t, **options):
    t.make_file("www/file", 5_000_000)
    return t.leat_serve(t.dir / "www", control="control", **options)


def _slow_download(t, host):
    """A connection on which leat has more to send than anybody reads."""
    s = socket.create_connection((host, 80), timeout=10)
    s.sendall(b"GET /file HTTP/1.1\r\nHost: x\r\n\r\n")
    t.check(s.recv(1000).startswith(b"HTTP/1.1 200"), "no answer")
    return s


def test_ss_shows_filters_and_kills(t):
    server = _server(t)
    with _slow_download(t, t.leat4) as s4, _slow_download(t, t.leat6) as s6:
        rows = t.leat_ask("ss", "-tanH").splitlines()
        t.equal(sorted(row.split()[0] for row in rows), ["ESTAB", "ESTAB", "LISTEN"], "states")
        port4, port6 = s4.getsockname()[1], s6.getsockname()[1]
        row = t.leat_ask("ss", "-tn", "dport", "=", f":{port6}").splitlines()[1].split()
        t.equal(row[3:], [f"[{t.leat6}]:80", f"[{t.kernel6}]:{port6}"], "addresses")
        t.check(int(row[2]) > 100_000, f"Send-Q {row[2]}")
        row = t.leat_ask("ss", "-tnH", "dst", t.kernel4, "and", "sport", "=", ":http").split()
        t.equal(row[3:], [f"[::ffff:{t.leat4}]:80", f"[::ffff:{t.kernel4}]:{port4}"], "addresses")
        info = t.leat_ask("ss", "-tinm", "dport", "=", f":{port4}")
        for field in ("skmem:(", " cubic ", " wscale:", " rto:", " rtt:", " mss:1448 ", " cwnd:", " bytes_sent:"):
            t.check(field in info, f"{field!r} is not in {info}")
        t.check("timer:(" in t.leat_ask("ss", "-tno", "dport", "=", f":{port4}"), "no timer")

        t.leat_ask("ss", "-K", "dport", "=", f":{port6}")
        try:
            while s6.recv(65536):
                pass
            t.fail("the killed connection ended well")
        except ConnectionResetError:
            pass
        left = t.leat_ask("ss", "-tnH").splitlines()
        t.check(len(left) == 1 and f":{port4}" in left[0], f"left: {left}")
    said = t.leat_ask("ss", "-s")
    t.check(said.startswith("Total: ") and "\nTCP\t  1         0         1\n" in said, said)
    t.check_nothing_left()
    server.stop()


def test_nstat_counts_what_happens(t):
    server = _server(t)
    t.leat_ask("nstat", "-n")
    t.download(t.url(t.leat4, "file"))
    lines = dict(line.split()[:2] for line in t.leat_ask("nstat").splitlines()[1:])
    t.equal(lines["TcpPassiveOpens"], "1", "TcpPassiveOpens")
    t.check(int(lines["TcpOutSegs"]) > 3000, f"TcpOutSegs {lines['TcpOutSegs']}")
    names = [line.split()[0] for line in t.leat_ask("nstat", "-az").splitlines()[1:]]
    kernel = [line.split()[0] for line in t.run_checked("nstat", "-asz").splitlines()[1:]]
    ours = set(names)
    t.equal(names, [name for name in kernel if name in ours], "the order of the kernel's nstat")
    t.check(len(names) > 250, f"only {len(names)} counters")
    server.stop()


def test_sysctl_reads_and_writes(t):
    server = _server(t, sysctl=("net.ipv4.tcp_sack=0",))
    t.equal(t.leat_ask("sysctl", "net.ipv4.tcp_sack"), "net.ipv4.tcp_sack = 0\n")
    t.equal(t.leat_ask("sysctl", "-w", "net.ipv4.tcp_sack=1"), "net.ipv4.tcp_sack = 1\n")
    t.equal(t.leat_ask("sysctl", "-n", "net/ipv4/tcp_sack"), "1\n")
    t.check(t.leat_ask("sysctl", "net.ipv4.tcp_rmem").startswith("net.ipv4.tcp_rmem = 4096\t131072\t"), "tcp_rmem")
    t.check(t.leat_ask("sysctl", "-a").count("\n") > 100, "sysctl -a is short")
    for words, said in ((["net.ipv4.nonsense"],
                         "sysctl: cannot stat /proc/sys/net/ipv4/nonsense: No such file or directory\n"),
                        (["net.ipv4.tcp_sack=x"], 'sysctl: setting key "net.ipv4.tcp_sack": Invalid argument\n')):
        run = subprocess.run([t.leat_path, "sysctl", "--control", t.dir / "control", *words], capture_output=True,
                             text=True, check=False)
        t.equal((run.returncode, run.stderr), (1, said), " ".join(words))
    server.stop()


def test_proc_files_have_the_kernels_form(t):
    server = _server(t)
    for name in ("net/snmp", "net/netstat"):
        ours, theirs = t.leat_ask("proc", name), open(f"/proc/{name}", encoding="ascii").read()
        kernel = {line.split()[0]: line for line in theirs.splitlines()[::2]}
        for line in ours.splitlines()[::2]:
            t.equal(line, kernel[line.split()[0]], f"{name}: names")
    with _slow_download(t, t.leat4):
        rows = t.leat_ask("proc", "net/tcp6").splitlines()
        with open("/proc/net/tcp6", encoding="ascii") as file:
            t.equal(rows[0], file.readline().rstrip("\n"), "the head of tcp6")
        connection = next(row for row in rows[1:] if row.split()[3] == "01").split()
        t.equal(connection[1], "0000000000000000FFFF00000200090A:0050", "local address")
    server.stop()


def _fragment(t, family):
    """The first piece of a UDP datagram whose others never come."""
    if family == 4:
        s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + 64, 77, 0x2000, 64, 17, 0,
                           socket.inet_aton(t.kernel4), socket.inet_aton(t.leat4))
        s.sendto(head + bytes(64), (t.leat4, 0))
    else:
        s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 44)  # the fragment header is ours
        s.sendto(struct.pack("!BBHI", 17, 0, 1, 77) + bytes(64), (t.leat6, 0))
    s.close()


def test_pieces_of_datagrams_are_shown(t):
    server = _server(t)
    _fragment(t, 4)
    _fragment(t, 6)
    t.wait_until(lambda: t.leat_sockstat()["FRAG"]["inuse"] == 1, what="a piece over IPv4")
    t.check(t.leat_sockstat()["FRAG"]["memory"] >= 64, "its memory")
    t.wait_until(lambda: "FRAG6: inuse 1 memory " in t.leat_ask("proc", "net/sockstat6"), what="a piece over IPv6")
    t.check("\nFRAG\t  2         1         1\n" in t.leat_ask("ss", "-s"), "ss -s")
    server.stop()


def test_ss_shows_what_congestion_controls_tell(t):
    t.make_file("www/file", 5_000_000)
    server = t.leat_serve(t.dir / "www", "--sysctl", "net.ipv4.tcp_congestion_control=bbr", control="control")
    with _slow_download(t, t.leat4):
        info = t.leat_ask("ss", "-tinH")
        t.check(re.search(r" bbr .* bbr:\(bw:\d+bps,mrtt:[\d.]+,pacing_gain:[\d.]+,cwnd_gain:[\d.]+\) send ", info), info)
    server.stop()


def test_garbage_and_silence_at_the_control_socket_do_no_harm(t):
    server = _server(t)
    path = str(t.dir / "control")
    t.equal(stat.S_IMODE(os.stat(path).st_mode), 0o600, "permissions")
    rng = random.Random(1)
    silent = []
    for i in range(200):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(5)
        t.wait_until(lambda: s.connect_ex(path) == 0, what="room in the backlog")
        if i % 20 == 0 and len(silent) < 8:
            silent.append(s)
            continue
        try:
            s.sendall(rng.choice((rng.randbytes(rng.randrange(5000)), b"{" * 3000 + b"\n", b"\n", b'{"verb":"ss"}',
                                  b'{"verb":"ss","args":["-ti"]}\n{"verb":"nstat","args":["-az"]}\n')))
        except (BrokenPipeError, ConnectionResetError):
            pass
        s.close()
    t.equal(t.leat_ask("sysctl", "-n", "net.ipv4.tcp_sack"), "1\n")
    t.equal(t.download(t.url(t.leat4, "file")), t.sha256("www/file"), "sha256 meanwhile")
    for s in silent:
        s.close()
    server.stop()
    t.check(not os.path.exists(path), "the control socket is left")


def test_one_instance_is_found_by_itself(t):
    home = t.dir / "run"
    home.mkdir()
    env = dict(os.environ, XDG_RUNTIME_DIR=str(home))

    def ask(*words):
        run = subprocess.run([t.leat_path, *words], capture_output=True, text=True, env=env, check=False)
        return run.returncode, run.stdout, run.stderr

    code, _, said = ask("ss")
    t.equal((code, said), (1, f"leat: no leat runs (none answers at {home}/leat-*.sock); name its socket with --control "
                              "PATH\n"), "without a leat")
    # Left behind by one that was killed: replaced by the next.
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(home / "leat-leat0.sock"))
    (t.dir / "www").mkdir()
    first = t.leat_serve(t.dir / "www", env=env)
    t.equal(ask("sysctl", "-n", "net.ipv4.tcp_sack"), (0, "1\n", ""), "alone")
    second = t.leat("serve", t.dir / "www", "--name", "other", env=env, tun="leat1", address=("10.8.0.2/24",),
                    peer=("10.8.0.1/24",), ready=lambda: t.accepts("10.8.0.2", 80))
    code, _, said = ask("ss")
    t.equal((code, said), (1, f"leat: more than one leat runs; choose with --control PATH: {home}/leat-leat0.sock, "
                              f"{home}/leat-other.sock\n"), "two")
    t.equal(ask("sysctl", "--name", "other", "-n", "net.ipv4.tcp_sack"), (0, "1\n", ""), "by name")
    second.stop()
    first.stop()
    t.equal(os.listdir(home), [], "what is left")
