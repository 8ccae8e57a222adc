"""What a running leat says of itself through its control socket, as numbers."""
import re

# Slabs that are empty when no connection is left; a listener has one socket.
_OF_CONNECTIONS = ("request_sock_TCP", "request_sock_TCPv6", "tw_sock_TCP", "tw_sock_TCPv6", "tcp_dormant", "packet")
_SOCKETS = ("TCP", "TCPv6")


def slabs(text):
    """`leat proc slabinfo` → objects in use, by name."""
    rows = (line.split() for line in text.splitlines() if not line.startswith("#"))
    return {row[0]: int(row[1]) for row in rows}


def left_over(text, listeners=1):
    """What should not be there when only listeners are, as text; empty: nothing."""
    found = slabs(text)
    wrong = {name: found[name] for name in _OF_CONNECTIONS if found[name] != 0}
    sockets = sum(found[name] for name in _SOCKETS)
    if sockets != listeners:
        wrong["TCP sockets"] = sockets
    return ", ".join(f"{name} {count}" for name, count in wrong.items())


def counters(text):
    """/proc/net/snmp and netstat → {"TcpPassiveOpens": 5, …}"""
    result, names = {}, None
    for line in text.splitlines():
        group, *words = line.split()
        if names is None:
            names = words
            continue
        result |= {group.rstrip(":") + name: int(value) for name, value in zip(names, words)}
        names = None
    return result


def sockstat(text):
    """/proc/net/sockstat → {"TCP": {"inuse": 1, …}, …}"""
    result = {}
    for line in text.splitlines():
        protocol, rest = line.split(":")
        result[protocol] = {name: int(value) for name, value in re.findall(r"(\w+) (-?\d+)", rest)}
    return result
