"""The versions of a checkpoint: which there are, which one counts, what is kept of them.

A folder holds, for each version, a file of data and then a small manifest with its length and digest: a version exists
when its manifest does. Names sort by who wrote them: a writer *claims* a term above all it finds, so a delivery that
was given up but still runs writes below the one that took its place, and overwrites nothing (decision 0240).
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from skylift.compute.worker.checkpoint.files import Files, open_files, remove_folder
from skylift.compute.worker.checkpoint.place import folder_of, run_folder
from skylift.errors import BlobUnavailable

_CLAIM, _DATA, _SAVED = "claim", "data", "saved"
_CHUNK = 8 * 2**20
_LOOKS = 3
_log = logging.getLogger("skylift.checkpoint")


class Rank(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A writer. The higher of two is the one whose versions count."""

    term: int
    attempt: int
    delivery: int
    nonce: str

    @property
    def text(self) -> str:
        return f"{self.term:08d}.{self.attempt:06d}.{self.delivery:06d}.{self.nonce}"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a version without its data."""

    data: str
    size: int
    sha256: str
    saved_ms: float
    """Work that this version keeps, of all deliveries so far."""
    made_ms: int
    """UTC."""
    format: int = 1


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What a writer says of itself."""

    gang: str = ""
    """The delivery of the gang whose rank 0 it is."""
    made_ms: int = 0
    """UTC."""


class Version(msgspec.Struct, frozen=True):
    rank: Rank
    number: int
    manifest: Manifest

    @property
    def name(self) -> str:
        return _name(_SAVED, self.rank, self.number)


class Writer:
    """One delivery's right to write versions into a folder."""

    def __init__(self, files: Files, rank: Rank, keep: int) -> None:
        self._files = files
        self._keep = keep
        self._number = 0
        self.rank = rank
        self.overtaken = False
        """A newer delivery writes here: nothing is written any more."""
        self.pinned: Version | None = None
        """Kept in any case: other members of the gang may not have read it yet."""

    def write(self, chunks: Iterable[memoryview], saved_ms: float) -> Manifest | None:
        """Store a version: data, then manifest, then what is too old goes. None after a newer writer came."""
        self._number += 1
        data = _name(_DATA, self.rank, self._number)
        counted = _Counted(chunks)
        try:
            self._files.write(data, counted)
        except BlobUnavailable:  # a disk that is full must not stay so because of what did not fit
            with contextlib.suppress(BlobUnavailable):
                self._files.delete(data)
            raise
        names = self._files.names()
        if any(claim > self.rank for claim in _claims(names)):
            self.overtaken = True
            self._files.delete(data)
            return None
        manifest = Manifest(
            data=data,
            size=counted.size,
            sha256=counted.digest.hexdigest(),
            saved_ms=saved_ms,
            made_ms=int(time.time() * 1000),
        )
        self._files.publish(_name(_SAVED, self.rank, self._number), msgspec.json.encode(manifest))
        self._retire(names)
        return manifest

    def _retire(self, names: list[str]) -> None:
        """Manifests go before their data. What other writers left goes too: they are all below this one."""
        now = (self.rank, self._number)
        saved = sorted({*_entries(names, _SAVED), now}, reverse=True)
        kept = set(saved[: self._keep])
        if self.pinned is not None:
            kept.add((self.pinned.rank, self.pinned.number))
        for rank, number in saved:
            if (rank, number) not in kept:
                self._files.delete(_name(_SAVED, rank, number))
        for rank, number in _entries(names, _DATA):
            if (rank, number) not in kept:
                self._files.delete(_name(_DATA, rank, number))
        for claim in _claims(names):
            if claim < self.rank:
                self._files.delete(_name(_CLAIM, claim))


def claim(files: Files, *, attempt: int, delivery: int, keep: int, gang: str = "") -> Writer:
    """The right to write from now on, before all who claimed it earlier. By `gang` the other members of a gang know
    that their rank 0 has it."""
    taken = _claims(files.names())
    rank = Rank(
        term=1 + max((other.term for other in taken), default=0),
        attempt=attempt,
        delivery=delivery,
        nonce=os.urandom(4).hex(),
    )
    writer = Writer(files, rank, keep)
    files.publish(_name(_CLAIM, rank), msgspec.json.encode(Claim(gang=gang, made_ms=int(time.time() * 1000))))
    return writer


def newest(files: Files, *, gang: str = "", since_ms: int = 0) -> tuple[Version, bytearray] | None:
    """The version that counts, whole, with its data. What is torn or damaged is passed over, and said.

    `gang` leaves out what the rank 0 of this gang has written itself, having claimed the place after `since_ms`. A
    writer that still runs may delete what is being read here, but only after it has published something newer: then the
    list is read again.
    """
    damaged: list[str] = []
    for _ in range(_LOOKS):
        damaged, vanished = [], False
        for version in _before(files, gang, since_ms, damaged):
            data = files.read(version.manifest.data)
            if data is not None and _is_whole(data, version.manifest):
                if damaged:
                    _log.warning("%s: %s is damaged: the work goes on from %s", files.where, damaged[0], version.name)
                return version, data
            damaged.append(version.name)
            vanished = vanished or data is None
        if not vanished:
            break
    if damaged:
        _log.warning("%s: nothing is whole of %s: the work begins anew", files.where, ", ".join(damaged))
    return None


def versions(files: Files) -> Iterator[Version]:
    """Those that have a readable manifest, the one that counts first."""
    return _readable(files, files.names(), [])


def clear(files: Files) -> None:
    """Delete all versions and claims, and nothing else that lies there. Manifests go before their data."""
    names = files.names()
    for kind in (_SAVED, _DATA, _CLAIM):
        for rank, number in _entries(names, kind):
            files.delete(_name(kind, rank, number))
    files.remove_if_empty()


def _before(files: Files, gang: str, since_ms: int, damaged: list[str]) -> Iterator[Version]:
    """Without those of the gang's own rank 0. Its claim came before them, so it is looked for after them."""
    names = files.names()
    terms = [rank.term for rank in _claims(files.names()) if _is_of(files, rank, gang, since_ms)] if gang else []
    first = min(terms, default=None)
    return _readable(files, [name for name in names if first is None or _term(name) < first], damaged)


def _readable(files: Files, names: list[str], damaged: list[str]) -> Iterator[Version]:
    for rank, number in sorted(_entries(names, _SAVED), reverse=True):
        text = files.read(_name(_SAVED, rank, number))
        try:
            manifest = None if text is None else msgspec.json.decode(text, type=Manifest)
        except (msgspec.DecodeError, UnicodeDecodeError):
            manifest = None
        if manifest is not None and manifest.format == 1 and manifest.data == _name(_DATA, rank, number):
            yield Version(rank, number, manifest)
        elif text is not None:
            damaged.append(_name(_SAVED, rank, number))


def _is_whole(data: bytearray, manifest: Manifest) -> bool:
    return len(data) == manifest.size and hashlib.sha256(data).hexdigest() == manifest.sha256


def _is_of(files: Files, rank: Rank, gang: str, since_ms: int) -> bool:
    text = files.read(_name(_CLAIM, rank))
    try:
        found = None if text is None else msgspec.json.decode(text, type=Claim)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return found is not None and found.gang == gang and found.made_ms >= since_ms


def saved_ms(location: str, run_id: str, visit: str) -> float | None:
    """Work that the last checkpoint of a visit keeps, whoever made it and whether or not it still lives. For backends:
    of an attempt that was killed, nobody else can say (`Usage.saved_ms`). None where there is none."""
    for version in versions(open_files(folder_of(location, run_id, visit))):
        return version.manifest.saved_ms
    return None


def runs_with_checkpoints(location: str) -> list[str]:
    """Ids of the runs that have any."""
    return open_files(location).names()


def forget(location: str, run_id: str) -> bool:
    """Delete all checkpoints of a run; whether it had any."""
    return remove_folder(run_folder(location, run_id))


class _Counted:
    """Chunks on their way into a file, counted and digested."""

    def __init__(self, chunks: Iterable[memoryview]) -> None:
        self._chunks = chunks
        self.size = 0
        self.digest = hashlib.sha256()

    def __iter__(self) -> Iterator[memoryview]:
        for chunk in self._chunks:
            for start in range(0, len(chunk), _CHUNK):
                part = chunk[start : start + _CHUNK]
                self.digest.update(part)
                self.size += len(part)
                yield part


def _name(kind: str, rank: Rank, number: int = 0) -> str:
    return f"{kind}.{rank.text}" + ("" if kind == _CLAIM else f".{number:010d}")


def _claims(names: Iterable[str]) -> list[Rank]:
    return [rank for rank, _ in _entries(names, _CLAIM)]


def _term(name: str) -> int:
    """Of its writer; 0 for other files, which are none of ours."""
    return max((rank.term for kind in (_SAVED, _DATA, _CLAIM) for rank, _ in _entries([name], kind)), default=0)


def _entries(names: Iterable[str], kind: str) -> list[tuple[Rank, int]]:
    """Writer and number of the files of one kind. Other files are none of ours."""
    return [entry for name in names if (entry := _parsed(name.split("."), kind)) is not None]


def _parsed(parts: list[str], kind: str) -> tuple[Rank, int] | None:
    expected = 5 if kind == _CLAIM else 6
    if len(parts) != expected or parts[0] != kind:
        return None
    numbers: list[Any] = [*parts[1:4], *parts[5:]]
    if not all(part.isascii() and part.isdigit() for part in numbers):
        return None
    rank = Rank(term=int(parts[1]), attempt=int(parts[2]), delivery=int(parts[3]), nonce=parts[4])
    return rank, int(parts[5]) if kind != _CLAIM else 0
