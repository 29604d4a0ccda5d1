"""Start a command in a network of its own that has only loopback: peers neither listen beyond it nor call home.

python loopback.py COMMAND ARGUMENT …           Linux; exits with 97 where that is not allowed
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import sys

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
NOT_ALLOWED = 97


def main() -> None:
    try:
        enter_network()
        raise_loopback()
    except OSError as error:
        sys.stderr.write(f"no network of its own can be made: {error}\n")
        raise SystemExit(NOT_ALLOWED) from error
    os.execvp(sys.argv[1], sys.argv[1:])


def enter_network() -> None:
    """As root in a new network, else in a new user's."""
    if not sys.platform.startswith("linux"):
        raise OSError("only Linux has them")
    libc = ctypes.CDLL(None, use_errno=True)
    flags = CLONE_NEWNET if os.geteuid() == 0 else CLONE_NEWNET | CLONE_NEWUSER
    if libc.unshare(flags) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        asked = struct.pack("16sh22x", b"lo", 0)
        flags = struct.unpack("16sh22x", fcntl.ioctl(control, SIOCGIFFLAGS, asked))[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | IFF_UP))


if __name__ == "__main__":
    main()
