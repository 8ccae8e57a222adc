"""What a test function is given: a folder, its network namespace, and the programs of both sides."""
import os
import pathlib
import shutil
import socket
import subprocess

from . import capture, device, files, state
from .isolate import Failure, Skipped
from .programs import Program, wait_until

# The two ends of a TUN in a test that does not care: the first address is leat's, the second the kernel's.
LEAT4, KERNEL4 = "10.9.0.2", "10.9.0.1"
LEAT6, KERNEL6 = "fd09::2", "fd09::1"


class Namespace:
    """A further network namespace, beside the one in which the test runs."""

    def __init__(self, test, name):
        self.test, self.name = test, name
        test.run_checked("ip", "netns", "add", name)
        self.run("ip", "link", "set", "lo", "up")
        for path in ("all/accept_dad", "default/accept_dad", "all/router_solicitations", "default/router_solicitations"):
            self.run("sh", "-c", f"echo 0 > /proc/sys/net/ipv6/conf/{path}")

    def prefix(self):
        return ["ip", "netns", "exec", self.name]

    def run(self, *command, **options):
        return self.test.run_checked(*self.prefix(), *command, **options)

    def start(self, name, *command):
        return self.test.start(name, *self.prefix(), *command)


class Test:
    leat4, kernel4, leat6, kernel6 = LEAT4, KERNEL4, LEAT6, KERNEL6

    def __init__(self, name, leat, release, work):
        self.name, self.leat_path, self.release, self.dir = name, leat, release, pathlib.Path(work)
        self.root = pathlib.Path(__file__).resolve().parents[3]
        self.programs = []

    # --- the run ----------------------------------------------------------------------------------------------------

    def run(self, function):
        """Called by the runner: the test, then every program must have ended well."""
        failed = True
        try:
            function(self)
            failed = False
        finally:
            for program in reversed(self.programs):
                if failed:
                    program.process.kill()
                elif program.process.returncode is None:
                    program.stop(expect=program.expect)

    def fail(self, why):
        raise Failure(why)

    def skip(self, why):
        raise Skipped(why)

    def check(self, condition, why):
        if not condition:
            raise Failure(why)

    def equal(self, got, wanted, what="value"):
        if got != wanted:
            raise Failure(f"{what}: got {got!r}, wanted {wanted!r}")

    def need(self, *programs):
        missing = [program for program in programs if shutil.which(program) is None]
        if missing:
            raise Skipped(f"{', '.join(missing)} not installed; ./dev setup")

    # --- programs ---------------------------------------------------------------------------------------------------

    def run_checked(self, *command, timeout=120, expect=0, stdin=None):
        """Runs a program to its end; its standard output as text."""
        command = [str(part) for part in command]
        try:
            run = subprocess.run(command, capture_output=True, timeout=timeout, input=stdin,
                                 stdin=subprocess.DEVNULL if stdin is None else None, check=False)
        except subprocess.TimeoutExpired:
            raise Failure(f"`{' '.join(command)}` took longer than {timeout} s") from None
        except FileNotFoundError:
            raise Skipped(f"{command[0]} not installed; ./dev setup") from None
        if expect is not None and run.returncode != expect:
            said = (run.stderr or run.stdout).decode(errors="replace").strip()[-2000:]
            raise Failure(f"`{' '.join(command)}` ended with {run.returncode}: {said}")
        return run.stdout.decode(errors="replace")

    def start(self, name, *command, expect=None, stdin=subprocess.DEVNULL, env=None):
        """Starts a program in the background; at the end of the test it is stopped and must exit with `expect`."""
        if shutil.which(str(command[0])) is None:
            raise Skipped(f"{command[0]} not installed; ./dev setup")
        log = self.dir / f"{name}-{len(self.programs)}.log"
        program = Program(name, command, log, stdin, env)
        program.expect = expect
        self.programs.append(program)
        return program

    def make_ns(self, name):
        return Namespace(self, name)

    # --- leat -------------------------------------------------------------------------------------------------------

    def leat_command(self, verb, *arguments, tun="leat0", tap=None, address=(f"{LEAT4}/24", f"{LEAT6}/64"),
                     peer=(f"{KERNEL4}/24", f"{KERNEL6}/64"), pcap=None, impair=None, sysctl=(), control=None, mtu=None,
                     gateway=None):
        if not self.leat_path.is_file():
            raise Skipped(f"there is no {self.leat_path}; ./dev build")
        if not os.path.exists("/dev/net/tun"):
            raise Skipped("there is no /dev/net/tun")
        command = [self.leat_path, verb, "--tap" if tap else "--tun", tap or tun]
        for name, values in (("--address", address), ("--peer-address", peer), ("--sysctl", sysctl)):
            for value in values:
                command += [name, value]
        for name, value in (("--pcap", pcap and self.dir / pcap), ("--impair", impair), ("--mtu", mtu),
                            ("--gateway", gateway), ("--control", control and self.dir / control)):
            if value is not None:
                command += [name, value]
        return [str(part) for part in (*command, *arguments)]

    def leat(self, verb, *arguments, ready=None, env=None, stdin=subprocess.DEVNULL, expect=0, **options):
        """Starts `leat VERB` on a device (see leat_command for the options) and waits until the device carries the
        kernel's addresses, the control socket is there if one was asked for and `ready()`, if given, is true."""
        program = self.start(f"leat-{verb}", *self.leat_command(verb, *arguments, **options), expect=expect, env=env,
                             stdin=stdin)
        name = options.get("tap") or options.get("tun", "leat0")
        peers = [peer.split("/")[0] for peer in options.get("peer", (f"{KERNEL4}/24", f"{KERNEL6}/64"))]
        program.wait_for(lambda: self.has_addresses(name, peers), what=f"addresses {' '.join(peers)} on {name}")
        if options.get("control"):
            program.wait_for((self.dir / options["control"]).exists, what="the control socket")
        if ready:
            program.wait_for(ready)
        return program

    def leat_run(self, verb, *arguments, timeout=120, expect=0, stdin=None, **options):
        """Runs `leat VERB` on a device to its end; its standard output."""
        return self.run_checked(*self.leat_command(verb, *arguments, **options), timeout=timeout, expect=expect,
                                stdin=stdin)

    def leat_ask(self, verb, *arguments, control="control", expect=0):
        """ss, nstat, sysctl: asks a leat that was started with control=...; its standard output."""
        return self.run_checked(self.leat_path, verb, "--control", self.dir / control, *arguments, expect=expect)

    def leat_serve(self, directory, *arguments, port=80, **options):
        """`leat serve DIRECTORY`, ready when it accepts a connection."""
        address = options.get("address", (f"{LEAT4}/24",))[0].split("/")[0]
        extra = () if port == 80 else ("--port", port)
        return self.leat("serve", directory, *arguments, *extra, ready=lambda: self.accepts(address, port), **options)

    def leat_slabs(self, **options):
        return state.slabs(self.leat_ask("proc", "slabinfo", **options))

    def leat_counters(self, **options):
        """{"TcpPassiveOpens": 5, "TcpExtTCPTimeouts": 0, …}"""
        return state.counters(self.leat_ask("proc", "net/snmp", "net/netstat", **options))

    def leat_sockstat(self, **options):
        return state.sockstat(self.leat_ask("proc", "net/sockstat", **options))

    def check_nothing_left(self, timeout=10.0, listeners=1, **options):
        """Waits until the running leat has no object of a connection any more, time-waits included."""
        said = ""

        def is_empty():
            nonlocal said
            said = state.left_over(self.leat_ask("proc", "slabinfo", **options), listeners)
            return not said

        try:
            wait_until(is_empty, timeout, "the end of all connections")
        except Failure:
            raise Failure(f"left after {timeout} s: {said}") from None

    # --- the kernel's side ------------------------------------------------------------------------------------------

    def has_addresses(self, name, addresses):
        run = subprocess.run(["ip", "-o", "addr", "show", "dev", name], capture_output=True, text=True, check=False)
        rows = [row for row in run.stdout.splitlines() if "tentative" not in row]
        return run.returncode == 0 and all(any(f" {address}/" in row or f" {address} " in row for row in rows)
                                           for address in addresses)

    def accepts(self, address, port):
        """Does someone accept a connection there? Leaves an ordinary short connection behind."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.settimeout(1.0)
            return probe.connect_ex((address, port)) == 0

    def veth(self, name, peer, ns=None):
        """A pair without offloads, so that a capture shows what is on the wire; `peer` moves into `ns`."""
        self.run_checked("ip", "link", "add", name, "type", "veth", "peer", "name", peer)
        device.offloads_off(name)
        device.offloads_off(peer)
        if ns:
            self.run_checked("ip", "link", "set", peer, "netns", ns.name)
        self.run_checked("ip", "link", "set", name, "up")
        (ns.run if ns else self.run_checked)("ip", "link", "set", peer, "up")

    def url(self, host, path, port=80):
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}{'' if port == 80 else f':{port}'}/{path.lstrip('/')}"

    def curl(self, url, *arguments, timeout=120, expect=0):
        return self.run_checked("curl", "--silent", "--show-error", "--fail", "--globoff", "--noproxy", "*",
                                "--max-time", timeout, *arguments, url, timeout=timeout + 5, expect=expect)

    def download(self, url, name="downloaded", timeout=120):
        """The kernel's curl gets the URL; sha256 of what came."""
        self.curl(url, "--output", self.dir / name, timeout=timeout)
        return self.sha256(self.dir / name)

    def nginx(self, directory, port=80, server=""):
        """nginx on the kernel, serving `directory` (PUT allowed), on IPv4 and IPv6."""
        self.need("nginx")
        home = self.dir / "nginx"
        home.mkdir()
        config = home / "nginx.conf"
        config.write_text(f"""
daemon off; master_process off; user root root; pid {home}/pid; error_log stderr warn;
events {{ worker_connections 8192; }}
http {{
  access_log off; sendfile on; keepalive_requests 1000000; client_max_body_size 0;
  client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
  server {{ listen {port}; listen [::]:{port}; root {directory}; autoindex on; {server} }}
}}
""")
        program = self.start("nginx", "nginx", "-e", "stderr", "-p", home, "-c", config)
        program.wait_for(lambda: self.accepts("127.0.0.1", port))
        return program

    def capture(self, interface, name, ns=None, what=""):
        """Captures what passes `interface` with dumpcap until the returned program is stopped."""
        command = [*(ns.prefix() if ns else []), "dumpcap", "-q", "-P", "-i", interface, "-w", self.dir / name]
        program = self.start("dumpcap", *command, *(["-f", what] if what else []))
        program.wait_for_output("File: ")
        return program

    # --- files ------------------------------------------------------------------------------------------------------

    def make_file(self, name, size, seed=1):
        """A file of `size` bytes in the test's folder (or at a path under it); its sha256."""
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return files.make_file(path, size, seed)

    def shared_file(self, size, name):
        """As make_file, but made once for all tests (who runs tests side by side makes it before them)."""
        wanted = files.make_shared(self.dir.parent, size)
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(files.shared_path(self.dir.parent, size), path)
        return wanted

    def sha256(self, path):
        return files.sha256(self.dir / path)

    def check_capture(self, name, **options):
        return capture.check_capture(self.dir / name, **options)

    def wait_until(self, condition, timeout=10.0, what="the condition"):
        return wait_until(condition, timeout, what)
