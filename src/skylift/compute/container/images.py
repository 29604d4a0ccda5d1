"""Which image an attempt runs in, and how Python is called there: given ones are asked once, our own is built once."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
import sysconfig
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec

from skylift.compute.container import rootfs
from skylift.compute.container.engine import ContainerEngine, ContainerFailed
from skylift.errors import SetupError

_REPOSITORY = "localhost/skylift-python"
_SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
"""Asked for here, not on the threads that look at images: two that ask first find it missing (before Python 3.13)."""
_QUESTION = (
    "import sys, sysconfig, json; "
    "print(json.dumps([list(sys.version_info[:2]), sysconfig.get_config_var('EXT_SUFFIX'), sys.executable]))"
)


class ImageUnsuitable(SetupError):
    """A given image has no Python that this Skylift runs with."""

    code = "IMAGE"


class Image(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    python: str
    ours: bool
    """Built from this interpreter: nothing of it has to be writable, and what is compiled for us runs there."""
    beside: str | None = None
    """It has no fitting Python: that of this image runs the attempt, which must be a program of the image itself."""
    command: str = "[[], []]"
    """What it runs by itself: entry point and command, as JSON."""


class Images:
    """Thread-safe; what is found out once holds for the life of this object."""

    def __init__(self, engine: ContainerEngine, state: Path) -> None:
        self._engine = engine
        self._state = state
        self._known: dict[str | None, Image] = {}
        self._locks: dict[str | None, threading.Lock] = {}
        self._lock = threading.Lock()
        self.busy: dict[str | None, str] = {}
        """What is being done for an image now, in words."""

    def for_program(self, given: str) -> Image:
        """For a job that runs the image's own program: any image will do, with an engine that can put our Python beside
        it. Raises SetupError."""
        try:
            return self.find(given)
        except ImageUnsuitable:
            if not self._engine.mounts_images:
                raise
        command = json.dumps(self._engine.image_command(given))
        return Image(name=given, python="", ours=False, beside=self.find(None).name, command=command)

    def find(self, given: str | None) -> Image:
        """May take seconds the first time, and minutes where an image has to be pulled. Raises SetupError."""
        with self._lock:
            known = self._known.get(given)
            lock = self._locks.setdefault(given, threading.Lock())
        if known is not None:
            return known
        with lock:
            if given not in self._known:
                try:
                    found = self._built() if given is None else self._asked(given)
                finally:
                    self.busy.pop(given, None)
                self._known[given] = found
            return self._known[given]

    def forget(self, given: str | None) -> None:
        """It may be gone: look again."""
        with self._lock:
            self._known.pop(given, None)

    def _built(self) -> Image:
        tag = f"{_REPOSITORY}:{sys.version_info.major}.{sys.version_info.minor}-{rootfs.digest()}"
        image = Image(name=tag, python=rootfs.python(), ours=True)
        if sys.platform != "linux":
            raise ImageUnsuitable(
                f"an image can be built from the running interpreter on Linux only, and this is {sys.platform}",
                hint="name one: `[backends.container] image` in skylift.toml, or @task(image=…)",
            )
        if self._engine.image_id(tag) is None:
            with _alone(_locks(self._state)):
                if self._engine.image_id(tag) is None:
                    self._build(tag)
        return image

    def _build(self, tag: str) -> None:
        self.busy[None] = "its image is being built"
        reading, writing = os.pipe()
        problems: list[Exception] = []

        def write() -> None:
            with open(writing, "wb") as out:  # noqa: PTH123 - a file descriptor
                try:
                    rootfs.write_archive(out)
                except (OSError, ValueError) as problem:
                    problems.append(problem)

        thread = threading.Thread(target=write, name="skylift-image", daemon=True)
        thread.start()
        try:
            with open(reading, "rb") as archive:  # noqa: PTH123
                self._engine.import_image(archive, tag, ("LABEL skylift.image=python",))
        except ContainerFailed as problem:
            raise ContainerFailed(f"{problem}{f' ({problems[0]})' if problems else ''}", hint=problem.hint) from None
        finally:
            thread.join()

    def _asked(self, given: str) -> Image:
        if self._engine.image_id(given) is None:
            self.busy[given] = f"the image {given} is being pulled"
            self._engine.pull(given)
        self.busy[given] = f"the image {given} is being asked for its Python"
        said = ""
        for name in ("python3", "python"):
            done = self._engine.ask(given, [name, "-c", _QUESTION])
            if done.returncode == 0:
                return self._suitable(given, done.stdout)
            said = done.stderr.decode(errors="replace").strip().splitlines()[-1:][0] if done.stderr.strip() else ""
        raise ImageUnsuitable(
            f"the image {given} has no python3 that can be run: {said}",
            hint=f"base it on one with Python {_ours()}, or leave `image` out: one is built from the interpreter here",
        )

    def _suitable(self, given: str, said: bytes) -> Image:
        """What is compiled for our Python (msgspec, …) must run there too."""
        try:
            version, suffix, executable = json.loads(said.strip().splitlines()[-1])
        except (ValueError, IndexError):
            raise ImageUnsuitable(f"python3 of the image {given} answers {said[:80]!r}", hint="is it Python?") from None
        if suffix != _SUFFIX:
            theirs = ".".join(map(str, version))
            raise ImageUnsuitable(
                f"the image {given} has Python {theirs} ({suffix}), and this Skylift runs with Python {_ours()} "
                f"({_SUFFIX})",
                hint=f"use an image with Python {_ours()} for the same system, or run Skylift with Python {theirs}",
            )
        return Image(name=given, python=executable, ours=False, command=json.dumps(self._engine.image_command(given)))


def _ours() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _locks(state: Path) -> Path:
    """A folder of this user, as the engine's images are: two projects that build one image leave a copy without a name.
    The project's own where a user has none that can be written."""
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "skylift"
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (OSError, RuntimeError):  # a user without a home is a RuntimeError
        return state
    return cache if os.access(cache, os.W_OK) else state


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Among all processes."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    fd = os.open(folder / "image.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
