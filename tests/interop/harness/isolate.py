"""Runs a function in network, mount and PID namespaces of its own.

The first process of the PID namespace only reaps; when it ends, for whatever reason, the kernel kills all that the
test started and the namespaces go away with them. Nothing is left on the host, not even after SIGKILL of the runner
(PR_SET_PDEATHSIG). Without root a user namespace is added, where the host permits it.
"""
import ctypes
import json
import os
import pathlib
import select
import shutil
import signal
import sys
import time
import traceback

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x00020000, 0x10000000, 0x20000000, 0x40000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """The test failed; the text says why."""


class Skipped(Exception):
    """The test cannot run here; the text says why."""


def _call(name, *args):
    if getattr(libc, name)(*args) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _mount(source, target, kind, flags=0):
    _call("mount", source.encode(), target.encode(), kind.encode() if kind else None, ctypes.c_ulong(flags), None)


def _write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _unshare():
    uid, gid = os.geteuid(), os.getegid()
    flags = CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWNS
    try:
        _call("unshare", flags | (0 if uid == 0 else CLONE_NEWUSER))
        if uid != 0:
            _write("/proc/self/setgroups", "deny")
            _write("/proc/self/uid_map", f"0 {uid} 1")
            _write("/proc/self/gid_map", f"0 {gid} 1")
    except OSError as error:
        raise Skipped(f"needs root, or user namespaces without privileges ({error})") from error


def _private_mounts():
    _mount("none", "/", None, MS_REC | MS_PRIVATE)
    _mount("proc", "/proc", "proc")
    os.makedirs("/run/netns", exist_ok=True)
    _mount("tmpfs", "/run/netns", "tmpfs")  # `ip netns add` leaves no trace on the host


def _quiet_network():
    """No duplicate address detection and no router solicitations: the devices are ready when they are up."""
    for scope in ("all", "default"):
        for name, value in (("accept_dad", 0), ("router_solicitations", 0), ("addr_gen_mode", 1)):
            path = pathlib.Path(f"/proc/sys/net/ipv6/conf/{scope}/{name}")
            if path.exists():
                path.write_text(str(value), encoding="ascii")
    pathlib.Path("/proc/sys/net/ipv4/ping_group_range").write_text("0 0", encoding="ascii")
    os.system("ip link set lo up")


def _report(pipe, verdict, why=""):
    os.write(pipe, json.dumps([verdict, why[-60000:]]).encode())


def _body(function, pipe):
    try:
        _quiet_network()
        function()
        _report(pipe, "ok")
    except Skipped as skipped:
        _report(pipe, "skipped", str(skipped))
    except Failure as failure:
        frames = [f for f in traceback.extract_tb(failure.__traceback__) if pathlib.Path(f.filename).name.startswith("test_")]
        where = f" ({pathlib.Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
        _report(pipe, "FAIL", f"{failure}{where}")
    except BaseException:  # noqa: B902 - whatever it is, the parent prints it
        _report(pipe, "FAIL", traceback.format_exc())


def _first_process(function, pipe):
    """PID 1 of the namespace: runs the test in a child and reaps orphans until that child is done."""
    worker = os.fork()
    if worker == 0:
        _body(function, pipe)
        sys.stdout.flush()
        os._exit(0)
    while True:
        pid, _ = os.wait()
        if pid == worker:
            os._exit(0)


def _inside(function, pipe):
    try:
        _call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        _unshare()
        first = os.fork()
        if first == 0:
            _call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            _private_mounts()
            _first_process(function, pipe)
        os.close(pipe)
        os.waitpid(first, 0)
    except Skipped as skipped:
        _report(pipe, "skipped", str(skipped))
    except BaseException:  # noqa: B902
        _report(pipe, "FAIL", traceback.format_exc())
    os._exit(0)


def run(function, work, timeout):
    """('ok' | 'FAIL' | 'skipped', why)"""
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    reader, writer = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _inside(function, writer)
    os.close(writer)
    deadline, said = time.monotonic() + timeout, b""
    try:
        while time.monotonic() < deadline:
            if not select.select([reader], [], [], max(0.0, deadline - time.monotonic()))[0]:
                continue
            piece = os.read(reader, 65536)
            if not piece:
                break
            said += piece
        else:
            return "FAIL", f"took longer than {timeout} s"
    finally:
        os.close(reader)
        try:
            os.kill(child, signal.SIGKILL)  # its PID 1 dies with it, and everything else with that
        except ProcessLookupError:
            pass
        os.waitpid(child, 0)
    try:
        verdict, why = json.loads(said)
        return verdict, why
    except ValueError:
        return "FAIL", "the test's process died without a word"
