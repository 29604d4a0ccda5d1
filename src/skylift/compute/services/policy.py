"""What definitions may call with the credentials and from the network of this process."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from skylift.compute.services.addresses import Address, as_address, is_metadata, is_public
from skylift.compute.services.failure import ServiceFailure, refused

_STEERED = frozenset({"machinelearning:predict"})
"""Actions whose parameters name the host that a signed request goes to."""


class ServicePolicy:
    """The administrator's allow-lists. Account "" is the user of this machine, who may do what he may do anyway."""

    def __init__(self, *, services: Iterable[str] = (), http: Iterable[str] = ()) -> None:
        self._services = tuple(pattern.lower() for pattern in services)
        self._hosts = tuple(plain_host(pattern) for pattern in http)
        self._addresses = frozenset(filter(None, map(as_address, self._hosts)))

    def check_service(self, account: str, service: str, *actions: str) -> None:
        """Raises ServiceFailure unless one of the action's names is allowed."""
        if account == "":
            return
        names = [f"{service}:{action}" for action in actions]
        allowed = any(fnmatchcase(name.lower(), pattern) for name in names for pattern in self._services)
        if not allowed or names[0].lower() in _STEERED:
            raise refused(f"The action {names[0]}", "allow_services", names[0])

    def check_host(self, account: str, host: str) -> None:
        """Before its name is looked up."""
        if account != "" and not any(_matches(plain_host(host), pattern) for pattern in self._hosts):
            raise refused(f"The host {host!r}", "allow_http", plain_host(host))

    def check_address(self, account: str, host: str, address: Address) -> None:
        """Before a connection to one address of the host is made."""
        listed = address in self._addresses
        if is_metadata(address) and (account == "" or not listed):
            raise ServiceFailure(
                "States.Permissions", f"The host {host!r} is at {address}, where machines keep their credentials"
            )
        if account == "" or is_public(address) or listed or plain_host(host) in self._hosts:
            return
        raise refused(f"The host {host!r}, at the address {address} of a private network,", "allow_http", host)


def plain_host(host: str) -> str:
    return host.strip().lower().rstrip(".").strip("[]")


def _matches(host: str, pattern: str) -> bool:
    return pattern in ("*", host) or (pattern.startswith("*.") and host.endswith(pattern[1:]))
