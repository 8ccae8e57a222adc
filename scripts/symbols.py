#!/usr/bin/env python3
"""The core makes no system call, reads no clock, starts no thread (docs/LAYOUT.md): what nm says about its archives.

    symbols.py LIBDIR        LIBDIR holds libleat_<room>.a of a build without sanitizers

Fails on an undefined symbol of one of the KINDS below, and on a writable global, in an object of a core room, unless
EXCEPTIONS names the object, the kind and the reason. Prints room, object and symbol.
"""
import fnmatch
import pathlib
import re
import subprocess
import sys

CORE = ["base", "netns", "pkt", "wire", "link", "ip", "inet", "tcp", "udp", "socket", "stack"]

# kind -> a regular expression over the whole demangled name
KINDS = {
    "clock": r"(clock_(gettime|getres|nanosleep)|gettimeofday|time|ftime|nanosleep|u?sleep|timerfd_\w+|setitimer|alarm"
             r"|localtime(_r)?|gmtime(_r)?|std::chrono::.*::now\(\)|std::this_thread::.*)",
    "randomness": r"(getrandom|getentropy|s?random(_r)?|s?rand(_r)?|[djlmn]rand48|arc4random\w*|randombytes\w*"
                  r"|sodium_init|std::random_device::.*)",
    "thread": r"(pthread_\w+|thrd_\w+|mtx_\w+|cnd_\w+|sem_(init|wait|post|\w*wait)|fork|vfork|clone|sched_\w+"
              r"|std::thread\b.*|std::jthread\b.*|std::(recursive_|timed_|shared_)?mutex\b.*|std::condition_variable.*"
              r"|std::__atomic_futex.*|TLS (wrapper|init) function.*|__tls_get_addr|__emutls.*|syscall)",
    "file": r"(open(at)?(64)?|creat(64)?|close|p?(read|write)(v2?|64)?|l?seek(64)?|dup[23]?|pipe2?|fcntl(64)?|unlink(at)?"
            r"|[fl]?stat(64|x)?|access|f(open|dopen|close|read|write|flush|gets|puts|putc|printf|scanf)(64|_unlocked)?"
            r"|__f(printf|read|gets)_chk|v?fprintf|__vfprintf_chk|v?printf|__v?printf_chk|puts|putchar|perror|std(in|out|err)"
            r"|popen|system|exec[vl]p?e?|eventfd(_\w+)?|std::(c(out|in|err|log)|ios_base::Init.*|basic_[io]?f(stream|ilebuf).*)"
            r"|pcap_(open|dump|create|activate|next|loop|dispatch)\w*)",
    "socket": r"(socket(pair)?|bind|connect|listen|accept4?|shutdown|(get|set)sockopt|getsockname|getpeername"
              r"|send(to|msg|mmsg|file)?|recv(from|msg|mmsg)?|epoll_\w+|p?poll|p?select|ioctl|getaddrinfo|gethostby\w+"
              r"|if_nametoindex|if_indextoname|getifaddrs)",
    "rcu": r"(urcu|rcu|call_rcu|synchronize_rcu)\w*",
    "environment": r"(secure_)?getenv|setenv|putenv|environ",
}
KINDS = {kind: re.compile(rf"(?:{text})\Z") for kind, text in KINDS.items()}

# (room, source file, kinds, why). A host object stands in a core room because it is one side of that room's interface.
EXCEPTIONS = [
    ("base", "check.cpp", "global", "what a core dump shows of a failed LEAT_CHECK; never read"),
    ("base", "rcu.cpp", "rcu", "the only file that knows liburcu"),
    ("link", "tun*.cpp", "file socket", "a host device, and netlink for the kernel's end of it"),
    ("link", "tun_kernel_side.cpp", "clock", "waits until /proc shows the kernel's end ready"),
    ("link", "pcap*.cpp", "file", "writes the capture file that the caller named"),
    ("stack", "c_api.cpp", "randomness", "seeds a stack for who does not bring a seed"),
    ("stack", "worker*.cpp", "clock thread file socket global", "the background workers, which know their threads, are the host's side of poll(now)"),
]

WRITABLE = re.compile(r"\.(data|bss|tdata|tbss)(\.|$)")
CONSTANT = re.compile(r"\.data\.rel\.ro")


def allowed(room, obj, kind):
    source = obj.removesuffix(".o")
    return any(room == r and fnmatch.fnmatch(source, s) and kind in kinds.split() for r, s, kinds, _ in EXCEPTIONS)


def nm(archive):
    """(object, name, is_undefined, section) for every symbol"""
    run = subprocess.run(["nm", "-C", "-f", "sysv", str(archive)], capture_output=True, text=True, check=True)
    obj = "?"
    for line in run.stdout.splitlines():
        header = re.match(r"(?:Undefined symbols|Symbols) from .*\[(.*)\]:", line)
        if header:
            obj = header.group(1)
            continue
        # name |value |class |type |size |line |section; a demangled name may hold '|' itself
        parts = line.rsplit("|", 6)
        if len(parts) == 7 and parts[0].strip() != "Name":
            yield obj, parts[0].strip(), parts[2].strip() in "Uw", parts[6].strip()


def kind_of(name, is_undefined, section):
    if not is_undefined:
        return "global" if WRITABLE.match(section) and not CONSTANT.match(section) else None
    return next((kind for kind, pattern in KINDS.items() if pattern.match(name.split("@")[0])), None)


def check(room, archive):
    wrong = set()
    for obj, name, is_undefined, section in nm(archive):
        if not name or name.startswith((".", "DW.ref.")):
            continue
        kind = kind_of(name, is_undefined, section)
        if kind and not allowed(room, obj, kind):
            wrong.add((obj, kind, name))
    for obj, kind, name in sorted(wrong):
        print(f"{room}: {obj.removesuffix('.o')}: {kind}: {name}")
    return len(wrong)


def main(libdir):
    wrong = 0
    empty = []
    for room in CORE:
        archive = pathlib.Path(libdir) / f"libleat_{room}.a"
        if archive.is_file():
            wrong += check(room, archive)
        else:
            empty.append(room)
    note = f"; no archive yet: {' '.join(empty)}" if empty else ""
    print(f"symbols: {len(CORE) - len(empty)} rooms, {wrong} wrong{note}")
    return 1 if wrong or len(empty) == len(CORE) else 0


if len(sys.argv) != 2:
    sys.exit(__doc__)
sys.exit(main(sys.argv[1]))
