"""Offloads of a device, by the ethtool ioctl (Debian's ethtool need not be there)."""
import array
import fcntl
import socket
import struct

_SIOCETHTOOL = 0x8946
# ETHTOOL_S{RXCSUM,TXCSUM,SG,TSO,GSO,GRO}
_COMMANDS = (0x2C, 0x24, 0x1F, 0x19, 0x17, 0x15)


def offloads_off(name):
    """Checksums are complete and segments are no larger than the MTU from here on, in what passes and is captured."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for command in _COMMANDS:
            value = array.array("I", [command, 0])
            request = struct.pack("16sP8x", name.encode(), value.buffer_info()[0])
            try:
                fcntl.ioctl(sock, _SIOCETHTOOL, request)
            except OSError:
                pass  # this device does not have that one
