"""The container engine: podman or docker, told by their command lines. All that differs between them is here."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Literal

import msgspec

from skylift.errors import SetupError

Kind = Literal["podman", "docker"]

_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@+-]{0,500}")
_ARCHIVE = re.compile(r"(dir|oci|oci-archive|docker-archive|docker-daemon|containers-storage|sif|ostree|tarball):.*/")
OOM = "oom"
_LEAST_CPUS = 0.01
"""The kernel limits no group to less than a millisecond in a hundred."""
_PATIENCE_S = 120.0
_PULL_S = 3_600.0


class NoContainerEngine(SetupError):
    """Neither podman nor docker can be used here."""

    code = "CONTAINER-ENGINE"


class ContainerFailed(SetupError):
    """The container engine did not do what it was asked for."""

    code = "CONTAINER"


class ImageMissing(SetupError):
    """An image is not on this machine, and cannot be pulled."""

    code = "IMAGE-MISSING"


class Mount(msgspec.Struct, frozen=True):
    source: str
    target: str
    writable: bool = False


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """One container. What is in here can be seen by whoever may ask the engine: never a secret."""

    name: str
    image: str
    command: tuple[str, ...]
    """The first word is the program; the image's own entry point is not used."""
    mounts: tuple[Mount, ...] = ()
    beside: tuple[str, str] | None = None
    """Another image, and where its root is mounted, read-only. Only where `mounts_images`."""
    variables: dict[str, str] = {}
    labels: dict[str, str] = {}
    memory_mib: int | None = None
    cpus: float | None = None
    pids: int | None = None
    network: str = "default"
    """`default`, `none`, `host`, the name of a network, or what `network_of` says of another container."""
    gpus: tuple[int, ...] = ()
    fixed_root: bool = False
    """Nothing but the mounts can be written."""
    workdir: str | None = None
    """None for where the image says."""
    pidfile: str | None = None
    """Where the number of the process that holds the container is written, with an engine that has one for each."""
    held_in: str | None = None
    """The folder in which that process works, and leaves an empty file OOM when the memory limit was met."""


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A container that exists."""

    name: str
    labels: dict[str, str]


def find_engine(wanted: Literal["auto", "podman", "docker"]) -> ContainerEngine:
    """Raises NoContainerEngine where there is none."""
    names: tuple[Kind, ...] = ("podman", "docker") if wanted == "auto" else (wanted,)
    for name in names:
        path = shutil.which(name)
        if path is not None:
            return ContainerEngine((path,), name)
    missing = " and ".join(names)
    raise NoContainerEngine(
        f"containers need podman or docker, and {missing} cannot be found in PATH",
        hint="install podman (apt install podman, brew install podman), or run the task with `--on process`",
    )


class ContainerEngine:
    """`command` is the program with options that hold for all it does. Thread-safe."""

    def __init__(self, command: Sequence[str], kind: Kind) -> None:
        self.command = tuple(command)
        self.kind = kind

    @property
    def mounts_images(self) -> bool:
        return self.kind == "podman"

    def start(self, spec: Spec) -> None:
        """Returns when it runs. Raises ContainerFailed in the engine's own words, and NoContainerEngine where no
        container can be started. What is called like it already is left as it is, and is an error."""
        words = [*self.command, "run", *self._options(spec), spec.image, *spec.command[1:]]
        done = self._run(words, folder=None if spec.held_in is None else Path(spec.held_in))
        if done.returncode != 0:
            said = f"{self.kind} could not start the container: {_said(done)}"
            raise _no_limits(said) if "rlimit" in said.lower() else ContainerFailed(said)

    def network_of(self, spec: Spec) -> str:
        """For containers that share the network of one just started. podman would not remove that one before them, so
        they are given the network itself, by the first process in it. Raises ContainerFailed."""
        if self.kind == "docker" or spec.pidfile is None:
            return f"container:{spec.name}"
        try:
            with open(_first_process(spec.pidfile), encoding="ascii") as file:  # noqa: PTH123
                return f"ns:/proc/{int(file.read())}/ns/net"
        except (OSError, ValueError):
            raise ContainerFailed("the first container of a gang ended before the others began") from None

    def kill(self, names: Sequence[str]) -> None:
        """With all that runs in them. Waits until they are gone; those that are gone already are no error."""
        if not names:
            return
        more = ["--time", "0", "--ignore"] if self.kind == "podman" else []
        done = self._run([*self.command, "rm", "--force", *more, *names])
        left = {listed.name for listed in self.listing({})} if done.returncode != 0 else set()
        if left & set(names):
            raise ContainerFailed(f"{self.kind} could not remove {', '.join(sorted(left & set(names)))}: {_said(done)}")

    def listing(self, labels: Mapping[str, str]) -> list[Listed]:
        """All containers with these labels, running or not. Raises ContainerFailed."""
        filters = [word for name, value in labels.items() for word in ("--filter", f"label={name}={value}")]
        form = "json" if self.kind == "podman" else "{{json .}}"
        done = self._run([*self.command, "ps", "--all", "--no-trunc", *filters, "--format", form])
        if done.returncode != 0:
            raise ContainerFailed(f"{self.kind} could not list containers: {_said(done)}")
        return [_listed(found) for found in _objects(done.stdout)]

    def exec_words(self, name: str, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` in a running container, at this terminal."""
        return [*self.command, "exec", "-i", "-t", name, *command]

    def image_id(self, image: str) -> str | None:
        """None where it is not on this machine. Raises ImageMissing for what can be no image's name: nothing that the
        engine would take for an option, or for a file of this machine."""
        if _IMAGE.fullmatch(image) is None or _ARCHIVE.match(image) is not None:
            raise ImageMissing(
                f"{image[:200]!r} is no image's name", hint="write it like docker.io/library/python:3.12"
            )
        done = self._run([*self.command, "image", "inspect", "--format", "{{.Id}}", image])
        return done.stdout.decode().strip() or None if done.returncode == 0 else None

    def image_command(self, image: str) -> tuple[list[str], list[str]]:
        """Its entry point and its command."""
        done = self._run([*self.command, "image", "inspect", "--format", "{{json .Config}}", image])
        config = json.loads(done.stdout) if done.returncode == 0 else {}
        entry, command = config.get("Entrypoint") or [], config.get("Cmd") or []
        return ([entry] if isinstance(entry, str) else entry), ([command] if isinstance(command, str) else command)

    def pull(self, image: str) -> None:
        """Raises ImageMissing, ContainerFailed."""
        done = self._run([*self.command, "pull", "--quiet", image], timeout_s=_PULL_S)
        if done.returncode != 0:
            raise ImageMissing(
                f"the image {image} is not on this machine, and {self.kind} could not pull it: {_said(done)}",
                hint=f"check its name, or make it: {self.kind} build --tag {image} …",
            )

    def import_image(self, archive: IO[bytes], tag: str, changes: Sequence[str]) -> None:
        """Make an image of one layer from a tar file."""
        options = [word for change in changes for word in ("--change", change)]
        done = self._run([*self.command, "import", *options, "-", tag], stdin=archive)
        if done.returncode != 0:
            raise ContainerFailed(f"{self.kind} could not make the image {tag}: {_said(done)}")

    def ask(self, image: str, words: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
        """Run a program in an image, without network, and give back what it wrote."""
        options = ["--rm", "--network", "none", "--pull", "never", "--cap-drop", "all", "--entrypoint", words[0]]
        return self._run([*self.command, "run", *options, image, *words[1:]])

    def _options(self, spec: Spec) -> list[str]:
        options = ["--detach", "--rm", "--pull", "never", "--name", spec.name, "--log-driver", "none"]
        options += ["--cap-drop", "all", "--security-opt", "no-new-privileges", *self._user()]
        options += ["--entrypoint", spec.command[0]]
        if spec.workdir is not None:
            options += ["--workdir", spec.workdir]
        if spec.pidfile is not None and self.kind == "podman":
            options += ["--conmon-pidfile", spec.pidfile, "--pidfile", _first_process(spec.pidfile)]
        if spec.fixed_root:
            options.append("--read-only")
        if spec.memory_mib is not None:
            options += ["--memory", f"{spec.memory_mib}m", "--memory-swap", f"{spec.memory_mib}m"]
        if spec.cpus is not None:
            options += ["--cpus", f"{max(_LEAST_CPUS, spec.cpus):g}"]
        if spec.pids is not None:
            options += ["--pids-limit", str(spec.pids)]
        if spec.network != "default":
            options += ["--network", spec.network]
        options += self._devices(spec.gpus)
        for mount in spec.mounts:
            options += _bound(mount)
        if spec.beside is not None:
            options += ["--mount", f"type=image,source={spec.beside[0]},destination={spec.beside[1]}"]
        for name, value in spec.variables.items():
            options += ["--env", f"{name}={value}"]
        for name, value in spec.labels.items():
            options += ["--label", f"{name}={value}"]
        return options

    def _user(self) -> list[str]:
        """Whoever runs the engine is who the attempt is: never more than that. Root in a container of podman without
        root is that user; and root whose capabilities are dropped reads what root's files allow, and no more."""
        if self.kind == "docker" and os.geteuid() != 0:
            return ["--user", f"{os.geteuid()}:{os.getegid()}"]
        return ["--user", "0:0"]

    def _devices(self, gpus: Sequence[int]) -> list[str]:
        if not gpus:
            return []
        if self.kind == "docker":
            return ["--gpus", f'"device={",".join(map(str, gpus))}"']
        return [word for number in gpus for word in ("--device", f"nvidia.com/gpu={number}")]

    def _run(
        self,
        words: Sequence[str],
        *,
        stdin: IO[bytes] | None = None,
        timeout_s: float = _PATIENCE_S,
        folder: Path | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        source = subprocess.DEVNULL if stdin is None else stdin
        try:
            return subprocess.run(
                words,
                stdin=source,
                capture_output=True,
                timeout=timeout_s,
                check=False,
                cwd=folder,
                env=_surroundings(),
            )
        except OSError as problem:
            raise ContainerFailed(f"{words[0]} cannot be run: {problem.strerror or problem}") from None
        except subprocess.TimeoutExpired:
            asked = " ".join(words[len(self.command) : len(self.command) + 2])
            raise ContainerFailed(f"{self.kind} {asked} did not end within {timeout_s:g} seconds") from None


def _bound(mount: Mount) -> list[str]:
    """The short way cannot say a path with a colon in it."""
    if ":" not in mount.source + mount.target:
        return ["--volume", f"{mount.source}:{mount.target}:{'rw' if mount.writable else 'ro'}"]
    paths = (f"source={mount.source}", f"destination={mount.target}")
    quoted = ",".join('"' + path.replace('"', '""') + '"' for path in paths)
    return ["--mount", f"type=bind,{quoted}" + ("" if mount.writable else ",readonly")]


def _first_process(pidfile: str) -> str:
    return f"{pidfile}.first"


def _surroundings() -> dict[str, str]:
    """conmon reads its options in the encoding that this says, and paths may be in any alphabet."""
    return {**os.environ, "LC_ALL": "C.UTF-8"}


def _no_limits(said: str) -> NoContainerEngine:
    """Trying again helps nobody: podman gives each container limits that this session may not give."""
    return NoContainerEngine(
        said,
        hint="this session may open fewer files, or start fewer processes, than podman gives a container: say fewer in "
        '~/.config/containers/containers.conf, [containers] default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]',
    )


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1][:500] if lines else f"it ended with status {done.returncode}"


def _objects(text: bytes) -> list[dict[str, Any]]:
    """podman writes one list, docker an object a line."""
    stripped = text.strip()
    if not stripped:
        return []
    if stripped.startswith(b"["):
        found: list[dict[str, Any]] = json.loads(stripped)
        return found
    return [json.loads(line) for line in stripped.splitlines()]


def _listed(found: dict[str, Any]) -> Listed:
    names, labels = found.get("Names") or "", found.get("Labels") or {}
    if isinstance(labels, str):
        labels = dict(pair.split("=", 1) for pair in labels.split(",") if "=" in pair)
    return Listed(name=names if isinstance(names, str) else names[0], labels=labels)
