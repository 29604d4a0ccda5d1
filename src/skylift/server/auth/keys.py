"""Access keys: issued, listed, revoked, looked up. Each belongs to an account and has a role."""

from __future__ import annotations

import base64
import contextlib
import re
import secrets
from collections.abc import Callable
from functools import cached_property

import msgspec

from skylift.errors import SetupError
from skylift.ports.resources import Resource, ResourceChanged, ResourceStore
from skylift.server.auth.sealing import Sealer
from skylift.server.caller import Role

KIND = "access-key"
USED_MS = 3_600_000
"""`last_used_ms` is written at most this often."""
_PAGE = 500
_ACCOUNT = re.compile(r"\d{12}")
_NAME = re.compile(r"[^\x00-\x1f\x7f]{0,128}")


class UnknownKey(SetupError):
    """There is no key of this id."""

    code = "KEY-UNKNOWN"


class InvalidKey(SetupError):
    """A key cannot be made like this."""

    code = "KEY-INVALID"


class StoredKey(msgspec.Struct, kw_only=True):
    """A key as the store has it."""

    key_id: str
    account: str
    role: Role
    name: str = ""
    created_ms: int
    last_used_ms: int | None = None
    """To the hour."""
    sealed: bytes
    """The secret, encrypted; changing key, account or role makes it useless."""

    @property
    def bound(self) -> bytes:
        return f"{self.key_id}/{self.account}/{int(self.role)}".encode()


class IssuedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A new key with its secret, which is nowhere else to be read."""

    key_id: str
    secret: str
    account: str
    role: Role
    name: str
    created_ms: int


class Keys:
    """The keys in a store. Blocks. `open_sealer` is called when the first secret is issued or looked up."""

    def __init__(self, resources: ResourceStore, open_sealer: Callable[[], Sealer]) -> None:
        self._resources = resources
        self._open_sealer = open_sealer

    @cached_property
    def _sealer(self) -> Sealer:
        return self._open_sealer()

    def create(self, *, account: str, role: Role, name: str = "", now_ms: int) -> IssuedKey:
        """Raises InvalidKey."""
        if not _ACCOUNT.fullmatch(account) or not account.isascii():
            raise InvalidKey(f"{account!r} is no account", hint="use 12 digits, such as 123456789012")
        if not _NAME.fullmatch(name):
            raise InvalidKey("the name of a key has at most 128 characters and no control characters")
        key_id = "AKIA" + base64.b32encode(secrets.token_bytes(10)).decode()
        secret = base64.b64encode(secrets.token_bytes(30)).decode()
        key = StoredKey(key_id=key_id, account=account, role=role, name=name, created_ms=now_ms, sealed=b"")
        key.sealed = self._sealer.seal(secret, key.bound)
        self._put(key, 0)
        return IssuedKey(key_id=key_id, secret=secret, account=account, role=role, name=name, created_ms=now_ms)

    def get(self, key_id: str) -> StoredKey | None:
        stored = self._resources.get(KIND, key_id)
        return None if stored is None else _decode(stored)

    def secret(self, key: StoredKey) -> str:
        """Raises MasterKeyError."""
        return self._sealer.open(key.sealed, key.bound)

    def all(self) -> list[StoredKey]:
        """Oldest first."""
        found: list[StoredKey] = []
        after = ""
        while page := self._resources.list(KIND, after=after, limit=_PAGE):
            found += map(_decode, page)
            after = page[-1].key
        return sorted(found, key=lambda key: (key.created_ms, key.key_id))

    def any(self) -> bool:
        return bool(self._resources.list(KIND, limit=1))

    def revoke(self, key_id: str) -> None:
        """Raises UnknownKey."""
        if not self._resources.delete(KIND, key_id):
            raise UnknownKey(f"there is no key {key_id}", hint="skylift keys list shows those there are")

    def used(self, key_id: str, now_ms: int) -> None:
        """Note that it was used. A key that was revoked at the same time stays so."""
        stored = self._resources.get(KIND, key_id)
        if stored is None:
            return
        key = _decode(stored)
        if key.last_used_ms is not None and now_ms - key.last_used_ms < USED_MS:
            return
        key.last_used_ms = now_ms // USED_MS * USED_MS
        with contextlib.suppress(ResourceChanged):
            self._put(key, stored.revision)

    def seal_again(self) -> int:
        """Encrypt with the present master key what another one has encrypted; how many were. Raises MasterKeyError."""
        sealer, count = self._sealer, 0
        for key in self.all():
            stored = self._resources.get(KIND, key.key_id)
            if stored is None or sealer.is_current((now := _decode(stored)).sealed):
                continue
            now.sealed = sealer.seal(sealer.open(now.sealed, now.bound), now.bound)
            self._put(now, stored.revision)
            count += 1
        return count

    def _put(self, key: StoredKey, expected: int) -> None:
        self._resources.put(KIND, key.key_id, msgspec.json.encode(key), expected=expected)


def _decode(stored: Resource) -> StoredKey:
    return msgspec.json.decode(stored.body, type=StoredKey)
