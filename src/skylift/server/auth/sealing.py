"""Secrets at rest: encrypted with a master key, and bound to what they are the secret of."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from skylift.errors import SetupError

VARIABLE = "SKYLIFT_MASTER_KEY"
FILE = "master.key"
_LENGTH = 32
_NAME_LENGTH = 8
_NONCE_LENGTH = 12


class MasterKeyError(SetupError):
    """The master key is missing, unreadable or another one than the secrets were encrypted with."""

    code = "MASTER-KEY"


class Sealer:
    """AES-256-GCM. The first key seals, all of them open: that is how a master key is changed."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = {_name(key): AESGCM(key) for key in keys}
        self._first = _name(keys[0])

    def seal(self, secret: str, bound: bytes) -> bytes:
        """`bound` is not kept, and must be given again to open."""
        nonce = os.urandom(_NONCE_LENGTH)
        return self._first + nonce + self._keys[self._first].encrypt(nonce, secret.encode(), bound)

    def open(self, sealed: bytes, bound: bytes) -> str:
        """Raises MasterKeyError."""
        name, rest = sealed[:_NAME_LENGTH], sealed[_NAME_LENGTH:]
        key = self._keys.get(name)
        if key is None:
            raise MasterKeyError(
                f"a secret was encrypted with the master key {name.hex()}, which is not at hand",
                hint=f"add that key to {VARIABLE}, after the present one and a comma",
            )
        try:
            return key.decrypt(rest[:_NONCE_LENGTH], rest[_NONCE_LENGTH:], bound).decode()
        except InvalidTag:
            raise MasterKeyError("a stored secret fails its check: it, or what it belongs to, was changed") from None

    def is_current(self, sealed: bytes) -> bool:
        return sealed.startswith(self._first)


def new_master_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(_LENGTH)).decode()


def open_sealer(home: Path, environ: Mapping[str, str] | None = None) -> Sealer:
    """With the keys of SKYLIFT_MASTER_KEY, else the one in `home/master.key`, which is made if there is none.

    Raises MasterKeyError.
    """
    given = (os.environ if environ is None else environ).get(VARIABLE)
    if given:
        return Sealer([_decoded(text, VARIABLE) for text in given.split(",")])
    path = home / FILE
    return Sealer([_decoded(_read_or_make(path), str(path))])


def _read_or_make(path: Path) -> str:
    try:
        if not path.exists():
            _make(path)
        if path.stat().st_mode & 0o077:
            raise MasterKeyError(f"{path} can be read by others", hint=f"chmod 600 {path}")
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as problem:
        raise MasterKeyError(f"{path} cannot be used: {problem}") from problem


def _make(path: Path) -> None:
    """Whole or not at all, and only one of several processes: the file is linked to its name when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{FILE}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(new_master_key() + "\n")
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(draft)
    except FileExistsError:
        pass  # another process was faster: its key is the one
    finally:
        draft.unlink()


def _decoded(text: str, where: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _LENGTH:
        raise MasterKeyError(f"{where} holds no master key: 32 bytes in Base64", hint="make one: skylift keys master")
    return key


def _name(key: bytes) -> bytes:
    return hashlib.sha256(b"skylift master key " + key).digest()[:_NAME_LENGTH]
