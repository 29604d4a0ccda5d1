"""Addresses that a host name stands for, and whose they are."""

from __future__ import annotations

import ipaddress
import socket

from skylift.compute.services.failure import ServiceFailure

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254",  # most clouds
        "169.254.170.2",  # containers of ECS
        "169.254.170.23",  # pods of EKS
        "fd00:ec2::254",
        "fd00:ec2::23",
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure
        "192.0.0.192",  # Oracle
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")


def resolve(host: str, port: int) -> list[Address]:
    """Every address of the host, in the order to try them. Raises ServiceFailure where there is none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as problem:
        raise ServiceFailure(
            "States.Http.Socket", f"The host {host!r} has no address: {problem}", passing=True
        ) from None
    return list(dict.fromkeys(ipaddress.ip_address(str(info[4][0]).partition("%")[0]) for info in found))


def as_address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one carries, whichever way: it is where packets end up."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 0xFFFF):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_metadata(address: Address) -> bool:
    return address in _METADATA or inner(address) in _METADATA


def is_public(address: Address) -> bool:
    """On the Internet, and of one machine: not loopback, link-local, private, shared, multicast or reserved."""
    both = (address, inner(address))
    real = both[1]
    return real.is_global and not any(
        one.is_multicast or one.is_reserved or one.is_loopback or one.is_link_local or one.is_unspecified
        for one in ((real,) if real is not address else both)
    )
