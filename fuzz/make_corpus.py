#!/usr/bin/env python3
"""Writes the seeds of the fuzzers, fuzz/corpus/<fuzzer>/<name>. The same bytes every time: run it and commit."""
import pathlib
import struct

ROOT = pathlib.Path(__file__).resolve().parent / "corpus"


def hx(text):
    return bytes.fromhex(text)


def write(fuzzer, **seeds):
    folder = ROOT / fuzzer
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in seeds.items():
        (folder / name).write_bytes(data)


def checksum(data):
    total = sum(struct.unpack(f">{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(protocol, payload, flags=0x4000, options=b""):
    def header(check):
        return struct.pack(">BBHHHBBH4s4s", 0x45 + len(options) // 4, 0, 20 + len(options) + len(payload), 7, flags,
                           64, protocol, check, hx("0a000001"), hx("0a000002")) + options
    return header(checksum(header(0))) + payload


A6, B6 = hx("fd000000000000000000000000000001"), hx("fd000000000000000000000000000002")


def ipv6(next_header, payload, dst=B6, length=None):
    return struct.pack(">IHBB", 6 << 28, len(payload) if length is None else length, next_header, 64) + (
        A6 + dst + payload)


def tcp(flags, options=b"", data=b""):
    return struct.pack(">HHIIBBHHH", 80, 5000, 0xFFFFFFFE, 2, (20 + len(options)) // 4 << 4, flags, 65535, 0, 0) \
        + options + data


SYN = tcp(0x02, hx("020405b40402080a0000000100000000" "01030307"))
COOKIE = hx("220a0102030405060708") + b"\x01\x01"
UDP = hx("0035c350000c0000") + b"abcd"
MACS = hx("020000000001" "020000000002")
ARP = hx("0001080006040001" "020000000001" "0a000001" "000000000000" "0a000002")
TARGET = hx("fe800000000000000000000000000002")
SOURCE_MAC, TARGET_MAC = hx("0101020000000001"), hx("0201020000000001")
NS, NA = hx("8700000000000000") + TARGET, hx("88000000e0000000") + TARGET
PREFIX = hx("030440c000278d0000093a8000000000") + hx("20010db8000000000000000000000000")
RA = hx("8600000040c007080000753000 0003e8".replace(" ", "")) + SOURCE_MAC + hx("05010000000005d4") + PREFIX
HOP_BY_HOP = hx("0600" "050200000100")
CHAIN = hx("3c00" "050200000100") + hx("2b00" "1e0400000000") + hx("0600" "0000" "00000000")

write("ethernet", ipv4=MACS + hx("0800") + ipv4(17, UDP), arp=MACS + hx("0806") + ARP, short=MACS)
write("ipv4", tcp=ipv4(6, SYN), options=ipv4(17, UDP, options=hx("94040000")), fragment=ipv4(17, UDP, 0x20B9),
      bad_header_length=hx("44") + ipv4(6, SYN)[1:], truncated=ipv4(6, SYN)[:30])
write("ipv6", **{name: hx("ff00") + packet for name, packet in {
    "tcp": ipv6(6, SYN),
    "chain": ipv6(0, CHAIN + SYN),
    "hop_by_hop": ipv6(0, HOP_BY_HOP + SYN),
    "jumbo": ipv6(0, hx("0600c20400010000") + SYN, length=0),
    "unknown_option": ipv6(60, hx("0600be0400000000") + SYN),
    "unknown_option_multicast": ipv6(60, hx("0600fe0400000000") + SYN, dst=hx("ff02") + B6[2:]),
    "padding": ipv6(60, hx("060100000000000001060000000000") + b"\0" + SYN),
    "routing": ipv6(43, hx("0602000100000000") + B6 + SYN),
    "routing_done": ipv6(43, hx("0602000000000000") + B6 + SYN),
    "first_fragment": ipv6(44, hx("0600000100000007") + SYN),
    "later_fragment": ipv6(44, hx("060005a800000007") + b"x" * 20),
    "long_fragment": ipv6(44, hx("0600fff800000007") + b"x" * 8),
    "atomic_fragment": ipv6(44, hx("0600000000000007") + SYN),
    "no_next_header": ipv6(59, b""),
}.items()}, short_linear=hx("2800") + ipv6(0, CHAIN + SYN))
write("icmp", echo=hx("0800abcd12340007") + b"abc",
      port_unreachable=hx("0303000000000000") + ipv4(17, UDP),
      frag_needed=hx("0304000000000578") + ipv4(6, SYN)[:28],
      too_big=hx("0200000000000500") + ipv6(0, CHAIN + SYN),
      fragment=hx("0300000000000000") + ipv6(44, hx("060005a800000007") + b"x" * 8),
      short=hx("0303000000000000") + ipv4(17, UDP)[:27])
write("nd_arp", arp=b"\0" + ARP, ns=b"\0" + NS + SOURCE_MAC, ns_dad=b"\1" + NS, na=b"\2" + NA + TARGET_MAC,
      na_unsolicited=b"\0" + hx("8800000020000000") + TARGET, ra=b"\0" + RA,
      zero_option=b"\0" + NS + hx("0100") + b"\0" * 6)
write("tcp", syn=SYN, syn_ack=tcp(0x12, hx("020405b4010104020101") + hx("0303") + hx("0700")), fast_open=tcp(2, COOKIE),
      fast_open_experimental=tcp(2, hx("fe0cf989") + b"12345678"), cookie_request=tcp(2, hx("22020101")),
      sacks=tcp(0x10, hx("0101080a0000000100000002" "0101051a") + struct.pack(">6I", 0xFFFFFFF0, 16, 32, 48, 64, 80)),
      data=tcp(0x18, hx("0101080a0000000100000002"), b"hello"), bad_length=tcp(2, hx("0204051e03000000")),
      all_flags=tcp(0xFF), short=SYN[:24])
write("udp", plain=UDP, empty=hx("0001000200080000"), too_long=hx("000100020fff0000"), jumbo=hx("0001000200000000"))
write("checksum", pieces=hx("0103") + b"abc" + b"\x05hello" + b"\x02zz" + b"\x01q", odd=b"abc",
      ones=b"\xff" * 67, empty=b"")
write("address", v4=b"192.0.2.1", cidr=b"10.0.0.1/24", v6=b"2001:db8::8:800:200c:417a", mapped=b"::ffff:10.0.0.1",
      embedded=b"64:ff9b::192.0.2.33/96", gap=b"::", bad=b"1::2::3", full=b"1:2:3:4:5:6:7:8", bytes=A6)
write("print", tcp=ipv4(6, SYN), data=ipv4(6, tcp(0x18, b"", b"x" * 9)),
      sacks=ipv6(6, tcp(0x10, hx("0101050a0000000100000002"))),
      udp=ipv6(17, UDP), unreachable=ipv4(1, hx("0303000000000000") + ipv4(17, UDP)), ns=ipv6(58, NS), ra=ipv6(58, RA),
      fast_open=ipv4(6, tcp(2, COOKIE)), fragment=ipv6(44, hx("060005a800000007") + b"x" * 20),
      chain=ipv6(0, CHAIN + SYN),
      arp=MACS + hx("0806") + ARP, too_big=ipv6(58, hx("0200000000000500") + ipv6(6, SYN)))

# Steps of fuzz/stack.cpp. Descriptors: 0 listener, 1 UDP, 2 and 3 connections over IPv4 and IPv6 (far ends 0 and 1).


def segment(far, flags, shape=0, rest=b"", length=b"\0"):
    return bytes([far << 4, flags, shape]) + rest + length


def user(what, fd, count=0, rest=b""):
    return bytes([what << 4 | 14, fd]) + struct.pack(">H", count) + rest


def wait_ms(n):
    return b"\x0b" + struct.pack(">H", n)


ACK, PSH_ACK, FIN_ACK = 0x10, 0x18, 0x11
WRITE, READ, CLOSE, SHUT, CONNECT = 3, 13, 8, 7, 11
HOLES = b"".join(segment(far, PSH_ACK, 1, bytes([at]), b"\x0a") for far in (0, 1) for at in (40, 80, 20, 60, 45, 0, 10))
LOSS = user(WRITE, 2, 2998) * 4 + b"".join(
    segment(0, ACK, 0x4C, struct.pack(">i", -9000) + b"\0" + struct.pack(">HH", at, 1000)) for at in (7000, 5000, 3000))
OPEN = segment(2, 0x02, 0x20, hx("08" "020403e8" "01030307")) + segment(2, ACK) + user(0, 0)
write("stack", data=segment(0, PSH_ACK, length=b"\x0a") + segment(1, PSH_ACK, length=b"\xff") + user(READ, 2)
      + user(READ, 3),
      holes=HOLES + user(READ, 2) + user(READ, 3), loss=LOSS + wait_ms(1000) + segment(0, ACK),
      close_first=user(CLOSE, 2) + segment(0, ACK) + segment(0, FIN_ACK) + wait_ms(61000),
      close_second=segment(0, FIN_ACK) + user(CLOSE, 2) + segment(0, ACK),
      close_both=user(SHUT, 3, 1) + segment(1, FIN_ACK, 4, b"\xff") + segment(1, ACK) + wait_ms(200),
      reset=segment(0, 0x04, 1, b"\x09") + segment(0, 0x04), syn_in_window=segment(0, 0x02, 1, b"\x20"),
      open=OPEN + segment(2, PSH_ACK, length=b"\x20"), connect=user(CONNECT, 2) + segment(2, 0x12) + user(WRITE, 4, 100),
      crossed=user(CONNECT, 3) + segment(3, 0x02) + segment(3, ACK), timeout=user(WRITE, 2, 500) + wait_ms(60000) * 4,
      zero_window=segment(0, ACK, 0x10, hx("0000")) + user(WRITE, 2, 2000) + wait_ms(5000) + segment(0, ACK),
      urgent=segment(0, 0x38, 0, hx("0005"), b"\x14") + user(2, 2, 3) + user(READ, 2) + user(6, 2, 4),
      udp=b"\x07\x01\x05hello" + b"\x87\x00\x12\x34\x05hello" + user(READ, 1),
      too_big=user(WRITE, 2, 2998) + b"\x0a" + hx("fc18" "0304" "0240"), raw=b"\x08" + struct.pack(">H", 44) + ipv4(6, SYN),
      fragment=b"\x48" + struct.pack(">H", 40) + b"x" * 40 + hx("11" "2000"), arp=b"\x09" + bytes([42, 0]) + MACS
      + hx("0806") + ARP)
