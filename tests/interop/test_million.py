"""leat million: two stacks joined in memory, many connections, and what an administrator sees of them."""
import os
import re
import subprocess

RELEASE = True
TIMEOUT = 240


def _resident(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+) kB", file.read()).group(1)) * 1024


def _hold(t, *args):
    """A leat million that holds its connections open; what it said until then."""
    control = t.dir / "control"
    log = open(t.dir / "million.log", "w+", encoding="utf-8")  # pylint: disable=consider-using-with
    process = subprocess.Popen([t.leat_path, "million", *map(str, args), "--hold", "--control", control], stdout=log,
                               stderr=subprocess.STDOUT)
    path = t.dir / "million.log"
    t.wait_until(lambda: "Held open" in path.read_text() or process.poll() is not None, timeout=200,
                 what="leat million to hold")
    t.equal(process.poll(), None, path.read_text())
    return process, path


def _end(t, process, path):
    process.terminate()
    t.equal(process.wait(timeout=60), 0, "exit code")
    said = path.read_text()
    print(said)
    t.check("Echo at the end: 1,000 of 1,000" in said, "the connections are not alive at the end")



def _check_strategy(t, strategy):
    count = 20_000
    process, path = _hold(t, "--connections", count, "--strategy", strategy)
    rows = t.leat_ask("ss", "-tnH").splitlines()
    t.equal(len(rows), 2 * count, "lines of ss -tn")
    t.equal({row.split()[0] for row in rows}, {"ESTAB"}, "states")
    rows = t.leat_ask("proc", "net/tcp", "net/tcp6", "net/sockstat").splitlines()
    t.equal(sum(" 01 " in row for row in rows), 2 * count, "established rows of net/tcp and tcp6")
    t.check(rows[-1].startswith("FRAG: "), rows[-1])
    t.check("estab 40000" in t.leat_ask("ss", "-s"), "ss -s")
    opened = int(t.leat_ask("nstat", "-as").split("TcpActiveOpens")[1].split()[0])
    t.check(opened >= count, f"TcpActiveOpens {opened}")
    t.equal(t.leat_ask("sysctl", "-n", "net.ipv4.tcp_sack"), "1\n")
    _end(t, process, path)


def test_20000_connections_by_source_addresses(t):
    _check_strategy(t, "source-addresses")


def test_20000_connections_by_destinations(t):
    _check_strategy(t, "destinations")


def test_20000_connections_bound_first(t):
    _check_strategy(t, "bound")
    said = (t.dir / "million.log").read_text()
    # 600 of 1000 ports are bound: connect() shares the other 400 between two destinations.
    t.check("got 800 connections, not 2000: Cannot assign requested address" in said, said)


def test_an_idle_end_costs_less_than_400_bytes(t):
    count = 1_000_000
    process, path = _hold(t, "--connections", count)
    an_end = _resident(process.pid) / (2 * count)
    print(f"VmRSS {an_end:.1f} bytes an end")
    t.check(an_end <= 400, f"{an_end:.1f} bytes an end")
    _end(t, process, path)


def test_memory_goes_back_when_a_burst_closes(t):
    said = t.run_checked(t.leat_path, "million", "--connections", 200_000, "--close", timeout=200)
    print(said)
    before, after = (float(x) for x in re.findall(r"VmRSS ([\d.]+) MB", said))
    t.check(after < before / 3, f"{before} MB before, {after} MB after")
    # What those that sleep needed while they were awake had gone before anything was closed.
    awake = re.search(r"([\d.]+ .?B) +[\d.]+ +tcp_conn$", said, re.MULTILINE)
    t.check(awake is not None and awake[1].endswith("kB"), f"{awake and awake[1]} of tcp_conn")


def test_wrong_words_are_named(t):
    for words, said in ((["--strategy", "magic"], "--strategy"), (["--connections", "0"], "--connections"),
                        (["--sysctl", "net.ipv4.tcp_sack"], "wanted NAME=VALUE")):
        run = subprocess.run([t.leat_path, "million", *words], capture_output=True, text=True, check=False,
                             env=dict(os.environ))
        t.equal((run.returncode, said in run.stderr, run.stderr.count("\n")), (2, True, 1), run.stderr)
