"""The harness itself, with the kernel on both sides: what it calls clean is clean, and it notices what is not."""
import os
import pathlib
import struct

from harness import Failure

TIMEOUT = 60


def pair(t):
    ns = t.make_ns("far")
    t.veth("near0", "far0", ns)
    t.run_checked("ip", "addr", "add", "10.9.1.1/24", "dev", "near0")
    t.run_checked("ip", "addr", "add", "fd09:1::1/64", "dev", "near0")
    ns.run("ip", "addr", "add", "10.9.1.2/24", "dev", "far0")
    ns.run("ip", "addr", "add", "fd09:1::2/64", "dev", "far0")
    return ns


def checksum(octets):
    octets += bytes(len(octets) % 2)
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def fails(function, text):
    try:
        function()
    except Failure as failure:
        return text in str(failure)
    return False


def test_a_download_between_kernels_is_clean_and_a_flipped_bit_is_noticed(t):
    ns = pair(t)
    wanted = t.make_file("www/file", 300_000)  # fewer packets than the kernel queues on a veth
    t.nginx(t.dir / "www")
    capture = t.capture("near0", "clean.pcap")
    for host in ("10.9.1.1", "fd09:1::1"):
        ns.run("curl", "-sSf", "--globoff", "-o", t.dir / "got", t.url(host, "file"))
        t.equal(t.sha256("got"), wanted, "sha256")
    capture.stop(expect=None)
    t.check(t.check_capture("clean.pcap") > 100, "too few packets were captured")

    raw, at = bytearray((t.dir / "clean.pcap").read_bytes()), 24
    while (length := int.from_bytes(raw[at + 8:at + 12], "little")) < 1000:
        at += 16 + length
    raw[at + 16 + length - 1] ^= 1  # the last byte of the first packet with data
    (t.dir / "flipped.pcap").write_bytes(raw)
    t.check(fails(lambda: t.check_capture("flipped.pcap"), "checksum"), "a flipped bit was not noticed")

    # The first packet with data, written twice, is a retransmission.
    packets, at, records = bytes(raw[:24]), 24, (t.dir / "clean.pcap").read_bytes()
    while at < len(records):
        length = 16 + int.from_bytes(records[at + 8:at + 12], "little")
        packets += records[at:at + length] * (2 if length > 1000 else 1)
        at += length
    (t.dir / "twice.pcap").write_bytes(packets)
    t.check(fails(lambda: t.check_capture("twice.pcap"), "retransmission"), "a retransmission was not noticed")
    t.check_capture("twice.pcap", allow_retransmissions=True)


def test_data_beyond_the_window_is_noticed(t):
    """A capture by hand: a SYN, a SYN with ACK that announces 1000 octets, and 1001 octets."""
    def segment(number, source, target, seq, ack, flags, window, data=b""):
        tcp = struct.pack("!HHIIBBHHH", source, target, seq, ack, 0x50, flags, window, 0, 0) + data
        ends = bytes([10, 0, 0, source]) + bytes([10, 0, 0, target])
        tcp = tcp[:16] + struct.pack("!H", checksum(ends + struct.pack("!HH", 6, len(tcp)) + tcp)) + tcp[18:]
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), number, 0x4000, 64, 6, 0) + ends
        ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
        return struct.pack("<IIII", number, 0, len(ip + tcp), len(ip + tcp)) + ip + tcp

    start = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101) + segment(1, 1, 2, 0xFFFFFFF0, 0, 0x02, 500)
    start += segment(2, 2, 1, 0xFFFFFE00, 0xFFFFFFF1, 0x12, 1000)
    for length in (1000, 1001):
        data = segment(3, 1, 2, 0xFFFFFFF1, 0xFFFFFE01, 0x18, 500, bytes(length))
        (t.dir / f"{length}.pcap").write_bytes(start + data)
    t.check_capture("1000.pcap")
    t.check(fails(lambda: t.check_capture("1001.pcap"), "10.0.0.1 sends up to 1002 where the window ends at 1001"),
            "data beyond the window was not noticed")


def test_namespaces_are_private(t):
    t.make_ns("private")
    t.equal(os.listdir("/run/netns"), ["private"])
    devices = [line.split(":")[1].strip() for line in t.run_checked("ip", "-o", "link").splitlines()]
    t.check("eth0" not in devices, f"the host's devices are visible: {devices}")
    t.equal(pathlib.Path("/proc/1/comm").read_text().strip().startswith("python"), True, "PID 1 is the runner's")


def test_a_program_that_ends_early_is_noticed(t):
    program = t.start("false", "sh", "-c", "echo why it ended; exit 3")
    t.check(fails(lambda: program.wait_for(lambda: False), "why it ended"), "the early end was not noticed")
