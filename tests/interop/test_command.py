"""The command itself: what is wrong is said in one line with what to do, exit code 2 or 1; --help has examples."""
import os
import signal
import socket
import subprocess
import time

TIMEOUT = 90


def _run(t, *words, **options):
    run = subprocess.run([t.leat_path, *map(str, words)], capture_output=True, text=True, timeout=30, check=False,
                         stdin=subprocess.DEVNULL, **options)
    return run.returncode, run.stdout, run.stderr


def _complains(t, code, text, *words, **options):
    got, _, said = _run(t, *words, **options)
    what = " ".join(map(str, words))
    t.equal(got, code, f"exit code of {what} ({said})")
    t.check(text in said and said.count("\n") == 1 and said.startswith("leat: "), f"{what}: {said!r}")


DEVICE = ("--tun", "leat0", "--address", "10.9.0.2/24")


def test_wrong_arguments_are_named(t):
    (t.dir / "www").mkdir()
    for text, *words in (
            ("leat --help", ), ("there is no verb 'nonsense'", "nonsense"), ("--keep requires --listen", "nc", "-k", "5000"),
            ("wants 64 hexadecimal digits, not 'x", "fetch", "--sha256", "x" * 64, "http://10.9.0.1/"), ("DIR is required", "serve"),
            ("give --tun NAME or --tap NAME", "serve", "."), ("give --address CIDR", "serve", "--tun", "leat0", "."),
            ("cannot serve '/nowhere'", "serve", *DEVICE, "/nowhere"), ("--port", "serve", *DEVICE, "--port", "99999", "."),
            ("'10.9.0.300/24': wanted ADDRESS/PREFIX", "serve", "--tun", "leat0", "--address", "10.9.0.300/24", "."),
            ("--peer-address", "serve", *DEVICE, "--peer-address", "nonsense", "."),
            ("--gateway '10.1.1.1': it is in no subnet", "serve", *DEVICE, "--gateway", "10.1.1.1", "."),
            ("--sysctl 'net.ipv4.x=1': there is no such name", "serve", *DEVICE, "--sysctl", "net.ipv4.x=1", "."),
            ("--sysctl 'x': wanted NAME=VALUE", "serve", *DEVICE, "--sysctl", "x", "."),
            ("--impair: ", "serve", *DEVICE, "--impair", "loss=200%", "."),
            ("is not a URL", "fetch", *DEVICE, "ftp:/x"), ("only http:// is spoken here", "fetch", *DEVICE, "https://x/"),
            ("--sha256 wants 64", "fetch", *DEVICE, "--sha256", "12", "http://10.9.0.1/"),
            ("cannot read '/nope.pkt': No such file", "drill", "/nope.pkt"),
            ("which port?", "nc", *DEVICE, "10.9.0.1"), ("'x' is not a port", "nc", *DEVICE, "10.9.0.1", "x")):
        _complains(t, 2, text, *words)


def test_missing_rights_devices_and_hosts_are_named(t):
    (t.dir / "www").mkdir()
    _complains(t, 1, "'nowhere.test' is no address and not in /etc/hosts", "fetch", *DEVICE, "http://nowhere.test/")
    _complains(t, 1, "Network is unreachable", "fetch", *DEVICE, "http://192.0.2.1/")
    _complains(t, 1, "cannot write '/nowhere/x'", "fetch", *DEVICE, "-o", "/nowhere/x", "http://10.9.0.1/")
    _complains(t, 1, "/nowhere/x", "serve", *DEVICE, "--pcap", "/nowhere/x", t.dir / "www")
    _complains(t, 1, "no leat answers at", "ss", "--control", t.dir / "none")
    if os.geteuid() == 0:
        def drop():
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        os.chmod(t.dir, 0o755)
        run = subprocess.run(["cp", t.leat_path, t.dir / "leat"], check=True)
        run = subprocess.run([t.dir / "leat", "serve", *DEVICE, "/"], capture_output=True, text=True, preexec_fn=drop,
                             timeout=20, check=False, cwd="/")
        t.check(run.returncode == 1 and run.stderr.count("\n") == 1 and "root" in run.stderr, run.stderr)


def test_help_has_examples(t):
    for verb in ("serve", "fetch", "nc", "ping", "ss", "nstat", "sysctl", "proc"):
        code, said, _ = _run(t, verb, "--help")
        t.check(code == 0 and "xample" in said, f"{verb} --help: {said}")
    code, said, _ = _run(t, "--help")
    t.check(code == 0 and all(verb in said for verb in ("serve", "fetch", "nc", "ping", "ss", "nstat", "sysctl")), said)
    t.check(_run(t, "--version")[1].startswith("leat "), "--version")


def test_fetch_fails_in_one_line(t):
    t.make_file("www/file", 100_000)
    t.nginx(t.dir / "www", server="location /moved { return 302 http://elsewhere/; }")
    base = [word for word in t.leat_command("fetch") if word != str(t.leat_path)]
    _complains(t, 1, "/none answers 404 Not Found", *base, t.url(t.kernel4, "none"))
    _complains(t, 1, "it moved to http://elsewhere/", *base, t.url(t.kernel4, "moved"))
    _complains(t, 1, "Connection refused", *base, t.url(t.kernel4, "file", 81))
    _complains(t, 1, "sha256 of what came is", *base, "--sha256", "0" * 64, "-q", "-o", t.dir / "x", t.url(t.kernel4, "file"))
    t.check(not (t.dir / "x").exists(), "a file with the wrong sum was kept")
    _complains(t, 1, "no answer for 1 s", *base, "--timeout", 1, "http://10.9.0.77/")
    t.equal(t.leat_run("fetch", "-q", t.url(t.kernel6, "file")).encode(errors="replace")[:0], b"", "to standard output")


def test_fetch_reads_chunks_and_answers_without_length(t):
    for answer, wanted in ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n",
                            "abcdefg"),
                           (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n\r\nto the end", "to the end"),
                           (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "")):
        with socket.create_server(("0.0.0.0", 8000)) as listener:
            client = t.start("fetch", *t.leat_command("fetch", "-q", t.url(t.kernel4, "x", 8000)), expect=0)
            s, _ = listener.accept()
            with s:
                t.check(b"\r\n\r\n" in s.recv(65536), "no request")
                s.sendall(answer)
            client.wait()
            t.equal(client.output(), wanted, "body")
    for answer, why in ((b"SSH-2.0-OpenSSH\r\n", "does not speak HTTP"),
                        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "the answer ended after 5 bytes")):
        with socket.create_server(("0.0.0.0", 8000)) as listener:
            client = t.start("fetch", *t.leat_command("fetch", "-q", t.url(t.kernel4, "x", 8000)))
            s, _ = listener.accept()
            with s:
                s.recv(65536)
                s.sendall(answer)
            client.wait(expect=1)
            t.check(why in client.output(), client.output())


def ends(s):
    """By FIN, or by RST where nobody had accepted it yet, as when a process ends on Linux."""
    try:
        return s.recv(10) == b""
    except ConnectionResetError:
        return True


def test_signals_end_it_cleanly(t):
    t.make_file("www/file", 1000)
    for number in (signal.SIGINT, signal.SIGTERM):
        server = t.leat_serve(t.dir / "www", pcap="serve.pcap", control="control")
        t.download(t.url(t.leat4, "file"))
        with socket.create_connection((t.leat4, 80), timeout=5) as s:
            server.process.send_signal(number)
            server.wait(expect=0)
            t.check(ends(s), "the connection did not end")
        t.check(not (t.dir / "control").exists(), "the control socket is left")
        t.check_capture("serve.pcap")
    client = t.start("ping", *t.leat_command("ping", "-i", 0.05, t.kernel4))
    client.wait_for_output("icmp_seq=3")
    client.process.send_signal(signal.SIGINT)
    client.wait(expect=0)
    t.check("packet loss" in client.output(), client.output())


def test_an_idle_server_does_nothing(t):
    (t.dir / "www").mkdir()
    server = t.leat_serve(t.dir / "www", control="control")
    with socket.create_connection((t.leat4, 80)), socket.create_connection((t.leat6, 80)):
        time.sleep(2)

        def ticks():
            with open(f"/proc/{server.pid}/stat", encoding="ascii") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            return int(fields[11]) + int(fields[12])

        def switches():
            with open(f"/proc/{server.pid}/status", encoding="ascii") as file:
                return sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)

        before, woken = ticks(), switches()
        time.sleep(3)
        t.check(ticks() - before <= 2, f"{ticks() - before} ticks in 3 s without work")
        t.check(switches() - woken <= 60, f"woken {switches() - woken} times in 3 s without work")
    server.stop()
