"""What tshark says about a capture, and the one thing that it does not say: was the peer's window respected?"""
import collections
import os
import subprocess

from .isolate import Failure

_OPTIONS = ["-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE",
            "-o", "tcp.relative_sequence_numbers:TRUE", "-o", "tcp.analyze_sequence_numbers:TRUE",
            "-o", "tcp.desegment_tcp_streams:FALSE", "--disable-protocol", "http"]  # what is judged ends with TCP

_BAD = "0"  # tshark's number for a checksum status of Bad
_STATUS = {name: f"{name}.checksum.status" for name in ("ip", "tcp", "udp", "icmp", "icmpv6")}
_RETRANSMISSION = {"retransmission": "tcp.analysis.retransmission",
                   "fast retransmission": "tcp.analysis.fast_retransmission",
                   "spurious retransmission": "tcp.analysis.spurious_retransmission",
                   "out of order": "tcp.analysis.out_of_order",
                   "lost segment": "tcp.analysis.lost_segment"}
_TCP = ["tcp.stream", "ip.src", "ipv6.src", "tcp.srcport", "tcp.seq", "tcp.len", "tcp.ack", "tcp.window_size",
        "tcp.flags.ack", "tcp.flags.reset"]
_FIELDS = ["frame.number", "_ws.malformed", "icmp.type", "icmpv6.type", "tcp.checksum", *_STATUS.values(),
           *_RETRANSMISSION.values(), *_TCP]


def tshark_fields(path, fields, display_filter=""):
    """One tuple of strings per packet that passes the filter; a field that occurs more than once has commas."""
    command = ["tshark", "-n", "-r", str(path), *_OPTIONS, "-T", "fields", "-E", "separator=/t", "-E", "aggregator=,"]
    for field in fields:
        command += ["-e", field]
    if display_filter:
        command += ["-Y", display_filter]
    try:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env=dict(os.environ, HOME="/tmp")) as run:
            for line in run.stdout:
                yield tuple(line.rstrip("\n").split("\t"))
            said = run.stderr.read().strip()
    except FileNotFoundError:
        raise Failure("tshark is not installed; ./dev setup") from None
    if run.returncode != 0:
        raise Failure(f"tshark cannot read {path}: {said[-500:]}")


class _Windows:
    """The right edge that each end of each stream has announced, as the capture goes."""

    def __init__(self):
        self.edges = collections.defaultdict(dict)  # stream -> end -> right edge

    def passes(self, row):
        """The complaint about this segment, or None."""
        me = (row["ip.src"] or row["ipv6.src"], row["tcp.srcport"])
        stream, length = self.edges[row["tcp.stream"]], int(row["tcp.len"])
        end = int(row["tcp.seq"]) + length
        peers = [edge for who, edge in stream.items() if who != me]
        if row["tcp.flags.ack"] in ("1", "True") and row["tcp.flags.reset"] not in ("1", "True"):
            stream[me] = max(stream.get(me, 0), int(row["tcp.ack"]) + int(row["tcp.window_size"]))
        if length > 0 and peers and end > peers[0]:
            return f"{me[0]} sends up to {end} where the window ends at {peers[0]}"
        return None


def _complaints(row, windows, allow_retransmissions, sender):
    if row["_ws.malformed"]:
        yield "malformed"
    for name, field in _STATUS.items():
        # Linux writes 0xffff for a sum of zero (CSUM_MANGLED_0), which verifies; tshark wants RFC 1624's 0x0000.
        is_other_zero = name == "tcp" and row["tcp.checksum"] == "0xffff"
        if _BAD in row[field].split(",") and not is_other_zero:
            yield f"bad {name} checksum"
    if not allow_retransmissions:
        yield from (what for what, field in _RETRANSMISSION.items() if row[field])
    if windows and row["tcp.stream"] and not row["icmp.type"] and not row["icmpv6.type"]:
        outside = windows.passes(row)
        if outside and sender in (None, row["ip.src"] or row["ipv6.src"]):
            yield f"outside of the window ({outside})"


def check_capture(path, allow_retransmissions=False, check_windows=True, sender=None):
    """Raises Failure unless the capture is clean: nothing malformed, no bad checksum, no segment outside of the peer's
    window (of `sender`, an address, or of both) and, unless allowed, no retransmission. Returns the number of packets.
    """
    packets, found = 0, collections.defaultdict(list)
    windows = _Windows() if check_windows else None
    for packet in tshark_fields(path, _FIELDS):
        packets += 1
        row = dict(zip(_FIELDS, packet))
        for what in _complaints(row, windows, allow_retransmissions, sender):
            found[what.split(" (")[0]].append(row["frame.number"] + what.removeprefix(what.split(" (")[0]))
    if packets == 0:
        raise Failure(f"{path}: the capture is empty")
    if found:
        raise Failure(f"{path}: " + "; ".join(
            f"{what} in frame {', '.join(frames[:5])}{f' and {len(frames) - 5} more' if len(frames) > 5 else ''}"
            for what, frames in found.items()))
    return packets
