"""State as bytes and back: one block of memory with a header of JSON before it. No pickle, neither way.

    8 bytes  b"SKYCKPT1"
    8 bytes  length of the header, little-endian
    header   JSON: `tree`, the state with numbers in the places of its arrays, and `parts`, where each of these lies
    parts    raw numbers of tensors and arrays, and artifacts as `skylift.values` makes them; each at a multiple of 64

Taking a snapshot copies the numbers once, into memory that is used again for the next one: that copy is all that a
training waits for.
"""

from __future__ import annotations

import hashlib
import io
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from skylift.compute.worker.checkpoint.state_codec import StateCodec
from skylift.values.tags import ValueNotLoadable

_MAGIC = b"SKYCKPT1"
_HEAD = struct.Struct("<8sQ")
_ALIGN = 64
_FILE_CHUNK = 8 * 2**20

Copy = Callable[[memoryview], None]
"""Writes a part into the memory it is given."""


class _Header(msgspec.Struct, frozen=True):
    tree: Any
    parts: list[tuple[int, int]]
    """Start, from the end of the header on, and length of each."""
    blobs: dict[str, int]
    """Part by digest."""


class Snapshot:
    """A state as it was at one moment, ready to be written."""

    def __init__(self, header: bytes, block: memoryview, files: list[tuple[int, Path]]) -> None:
        self._header = header
        self._block = block
        self._files = files

    def chunks(self) -> Iterator[memoryview]:
        """All its bytes, in order."""
        yield memoryview(_HEAD.pack(_MAGIC, len(self._header)) + self._header)
        at = 0
        for start, path in self._files:
            yield self._block[at:start]
            at = start
            with path.open("rb") as file:
                while piece := file.read(_FILE_CHUNK):
                    yield memoryview(piece)
            yield memoryview(bytes(-path.stat().st_size % _ALIGN))
        yield self._block[at:]

    def drop(self) -> None:
        """Delete the private copies of files."""
        for _, path in self._files:
            path.unlink(missing_ok=True)


class Snapshots:
    """Takes snapshots, one after the other: the memory of one is that of the next."""

    def __init__(self) -> None:
        self._memory: Any = bytearray()

    def take(self, state: Any) -> Snapshot:
        parts = _Parts()
        tree = StateCodec(parts, parts.add).dump(state)
        header = msgspec.json.encode(_Header(tree, parts.layout(), parts.by_digest))
        header += b" " * (-(_HEAD.size + len(header)) % _ALIGN)
        block = self._block(parts.in_memory, pinned=parts.on_gpu)
        for start, size, copy in parts.copies():
            copy(block[start : start + size])
        parts.wait()
        return Snapshot(header, block, parts.files())

    def _block(self, size: int, *, pinned: bool) -> memoryview:
        if len(self._memory) < size:
            self._memory = bytearray(0)  # the old one goes first
            self._memory = _pinned(size) if pinned else bytearray(size)
        return memoryview(self._memory)[:size]


def state_of(data: bytearray) -> Any:
    """The state whose bytes these are; arrays and tensors share their memory. ValueNotLoadable for anything else."""
    view = memoryview(data)
    try:
        magic, length = _HEAD.unpack_from(view)
        if magic != _MAGIC:
            raise ValueNotLoadable("this is no checkpoint, or one of a newer Skylift")
        header = msgspec.json.decode(view[_HEAD.size : _HEAD.size + length], type=_Header)
        stored = _Stored(view[_HEAD.size + length :], header)
        return StateCodec(stored, None, stored.part).load(header.tree)
    except (struct.error, msgspec.DecodeError, UnicodeDecodeError, IndexError) as error:
        raise ValueNotLoadable(f"a checkpoint cannot be read: {type(error).__name__}: {error}") from error


class _Parts:
    """The parts of a snapshot while it is taken. Also what the codec takes for its blob store."""

    def __init__(self) -> None:
        self.by_digest: dict[str, int] = {}
        self.on_gpu = False
        self._copies: list[Copy | Path] = []
        self._sizes: list[int] = []

    def add(self, size: int, copy: Copy, *, on_gpu: bool = False) -> int:
        self.on_gpu = self.on_gpu or on_gpu
        return self._add(size, copy)

    def put(self, data: bytes | memoryview) -> str:
        digest = hashlib.sha256(data).hexdigest()
        if digest not in self.by_digest:
            content = bytes(data)
            self.by_digest[digest] = self._add(len(content), lambda target: _fill(target, content))
        return digest

    def put_file(self, path: Path) -> str:
        """By way of a private copy: the file may change while it is written."""
        import shutil
        import tempfile

        with tempfile.NamedTemporaryFile(prefix="skylift-checkpoint-", delete=False) as copy:
            copied = Path(copy.name)
        shutil.copyfile(path, copied)
        with copied.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest in self.by_digest:
            copied.unlink()
        else:
            self.by_digest[digest] = self._add(copied.stat().st_size, copied)
        return digest

    def layout(self) -> list[tuple[int, int]]:
        places, at = [], 0
        for size in self._sizes:
            places.append((at, size))
            at += _aligned(size)
        return places

    @property
    def in_memory(self) -> int:
        pairs = zip(self._sizes, self._copies, strict=True)
        return sum(_aligned(size) for size, copy in pairs if not isinstance(copy, Path))

    def copies(self) -> Iterator[tuple[int, int, Copy]]:
        """Start and length in memory, where files have no place."""
        at = 0
        for size, copy in zip(self._sizes, self._copies, strict=True):
            if not isinstance(copy, Path):
                yield at, size, copy
                at += _aligned(size)

    def files(self) -> list[tuple[int, Path]]:
        """Each with the place in memory before which it is written."""
        found, at = [], 0
        for size, copy in zip(self._sizes, self._copies, strict=True):
            if isinstance(copy, Path):
                found.append((at, copy))
            else:
                at += _aligned(size)
        return found

    def wait(self) -> None:
        """Copies from a GPU into pinned memory are done when it says so."""
        if self.on_gpu:
            sys.modules["torch"].cuda.synchronize()

    def _add(self, size: int, copy: Copy | Path) -> int:
        self._sizes.append(size)
        self._copies.append(copy)
        return len(self._sizes) - 1


class _Stored:
    """The parts of a checkpoint that was read. Also what the codec takes for its blob store."""

    def __init__(self, view: memoryview, header: _Header) -> None:
        self._view = view
        self._header = header

    def part(self, number: int) -> memoryview:
        start, size = self._header.parts[number]
        if start < 0 or size < 0 or start + size > len(self._view):
            raise ValueNotLoadable(f"part {number} of a checkpoint lies outside of it")
        return self._view[start : start + size]

    def get(self, digest: str) -> bytes:
        number = self._header.blobs.get(digest)
        if number is None:
            raise ValueNotLoadable(f"a checkpoint lacks its part {digest[:12]}")
        return bytes(self.part(number))

    def open(self, digest: str) -> io.BytesIO:
        return io.BytesIO(self.get(digest))

    def local_path(self, digest: str) -> Path:
        """A file that goes with this process."""
        from skylift.values.formats.paths import _fresh_folder

        path = _fresh_folder() / digest
        path.write_bytes(self.get(digest))
        return path


def _aligned(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN


def _fill(target: memoryview, content: bytes) -> None:
    target[:] = content


def _pinned(size: int) -> Any:
    """Memory that a GPU copies into by itself; plain memory where there is not enough of that kind."""
    torch = sys.modules["torch"]
    try:
        return torch.empty(size, dtype=torch.uint8, pin_memory=True).numpy()
    except RuntimeError:
        return bytearray(size)
