"""What `cmake --install` gives is enough: every public header stands alone, and examples/echo builds against the
installed tree with CMake and with pkg-config and echoes to the kernel."""
import hashlib
import os
import random
import socket

TIMEOUT = 300


def install(t):
    t.need("cmake", "g++", "make", "pkg-config")
    if not (t.release / "lib/libleat.a").is_file():
        t.skip(f"there is no {t.release}/lib/libleat.a; ./dev build")
    prefix = t.dir / "installed"
    t.run_checked("cmake", "--install", t.release, "--prefix", prefix)
    return prefix


def device(t):
    t.run_checked("ip", "tuntap", "add", "dev", "leat0", "mode", "tun")
    t.run_checked("ip", "addr", "add", f"{t.kernel4}/24", "dev", "leat0")
    t.run_checked("ip", "addr", "add", f"{t.kernel6}/64", "dev", "leat0", "nodad")
    t.run_checked("ip", "link", "set", "leat0", "up")


def echo(host, port, data):
    """Sends while it receives; what came back."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(20)
        sock.connect((host, port))
        back = bytearray()
        for at in range(0, len(data), 65536):
            sock.sendall(data[at:at + 65536])
            while len(back) < at:
                back += sock.recv(65536)
        sock.shutdown(socket.SHUT_WR)
        while piece := sock.recv(65536):
            back += piece
    return bytes(back)


def check_echo(t, binary, env=None):
    server = t.start("echo", binary, "leat0", f"{t.leat4}/24", f"{t.leat6}/64", "7", env=env)
    server.wait_for(lambda: t.accepts(t.leat4, 7))
    data = random.Random(7).randbytes(1_000_000)
    for host in (t.leat4, t.leat6):
        t.equal(hashlib.sha256(echo(host, 7, data)).hexdigest(), hashlib.sha256(data).hexdigest(), f"echo over {host}")
    server.check_running()
    server.stop(expect=None)


def test_every_public_header_stands_alone(t):
    prefix = install(t)
    headers = sorted((prefix / "include/leat").glob("*.h"))
    t.check(headers, "no header was installed")
    for header in headers:
        languages = [("g++", "c++", "c++23")] + ([("gcc", "c", "c11")] if header.name == "leat.h" else [])
        for compiler, language, standard in languages:
            t.run_checked(compiler, "-x", language, f"-std={standard}", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
                          "-I", prefix / "include", "-", stdin=f"#include <leat/{header.name}>\n".encode())


def test_echo_builds_with_cmake_and_echoes(t):
    example = t.root / "examples/echo"
    if not (example / "echo.cpp").is_file():
        t.skip("there is no examples/echo/echo.cpp yet")
    lines = len((example / "echo.cpp").read_text().splitlines())
    t.check(lines < 60, f"echo.cpp has {lines} lines; the example is to stay under 60")
    prefix = install(t)
    t.run_checked("cmake", "-S", example, "-B", t.dir / "build", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}")
    t.run_checked("cmake", "--build", t.dir / "build")
    device(t)
    check_echo(t, t.dir / "build/echo")


def test_echo_builds_with_pkg_config_and_echoes(t):
    example = t.root / "examples/echo"
    if not (example / "echo.cpp").is_file():
        t.skip("there is no examples/echo/echo.cpp yet")
    prefix = install(t)
    t.run_checked("make", "-C", example, f"OUT={t.dir}", f"PKG_CONFIG_PATH={prefix}/lib/pkgconfig")
    device(t)
    check_echo(t, t.dir / "echo", env=dict(os.environ, LD_LIBRARY_PATH=str(prefix / "lib")))
