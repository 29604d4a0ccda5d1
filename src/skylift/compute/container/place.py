"""What an attempt finds in its container: a folder, Skylift, the artifacts, its packages, and nothing else of ours."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from skylift.asl.events import Usage
from skylift.compute.attempts import AttemptFolder
from skylift.compute.container import rootfs
from skylift.compute.container.engine import Mount, Spec
from skylift.compute.container.images import Image
from skylift.compute.container.library import NEEDS, SKYLIFT, library_mounts, links_of_environments
from skylift.compute.environments import environment_root
from skylift.compute.environments.building import site_packages
from skylift.compute.jobs.containers import IMAGE_COMMAND
from skylift.compute.jobs.sagemaker import GIVEN, RUNS
from skylift.compute.jobs.training_folders import IN_CONTAINER
from skylift.compute.worker.checkpoint.place import beside
from skylift.compute.worker.main import open_blobs
from skylift.compute.worker.solo_files import CRASH, SoloOrder
from skylift.compute.worker.wire import WorkerConfig
from skylift.ports.compute import TaskCall

ATTEMPT = "/skylift/attempt"
_LOG = "/skylift/log"
_BESIDE = "/skylift/python"
_SCRATCH = "tmp"
_HOLDER = "holder"
_GROUPS = "/sys/fs/cgroup"
_PROGRAM = (
    "import os, sys; folder = sys.argv[1]; "
    f"os.dup2(os.open(folder + '/{CRASH}', os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2); "
    f"sys.path[:0] = [] if '{SKYLIFT}' in sys.path else ['{SKYLIFT}']; sys.path.append('{NEEDS}'); "
    "os.environ.pop('PYTHONHOME', None); "
    "from skylift.compute.worker.solo import main; main(folder)"
)
_CLOUD = ("AWS_", "GOOGLE_", "GCLOUD_", "GCS_", "AZURE_", "FSSPEC_", "S3_")


class PlaceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where things are on this machine, and what attempts may have."""

    name: str
    """Of the backend."""
    state: Path
    project: str
    """Names the project among the containers of this machine."""
    blobs: str | None = None
    blobs_factory: str = "skylift.stores.open:open_blobs"
    bundles: str = ""
    paths: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    withheld: frozenset[str] = frozenset()
    network: str = "default"
    pids: int | None = None
    grace_ms: int = 1_000


class Place:
    """Makes orders and containers from calls. Thread-safe."""

    def __init__(self, settings: PlaceSettings) -> None:
        self._settings = settings
        self.config = WorkerConfig(
            name=settings.name,
            backend=settings.name,
            blobs=settings.blobs,
            checkpoints=beside(settings.blobs) if settings.blobs else None,
            blobs_factory=settings.blobs_factory,
            cache_dir=settings.bundles,
            paths=settings.paths,
        )
        self._shared = tuple(self._shared_mounts())
        self._library = library_mounts(settings.state)

    def order(self, call: TaskCall, name: str, asked_ms: int) -> SoloOrder:
        needs = call.requirements
        inside = msgspec.structs.replace(call, log=None if call.log is None else _LOG)
        return SoloOrder(
            call=inside,
            config=msgspec.structs.replace(self.config, name=name),
            asked_ms=asked_ms,
            place=Usage(
                service="container",
                instance_type="this-machine",
                vcpus=needs.cpus,
                memory_mib=needs.memory_mib,
                region="local",
                market="on-demand",
            ),
            limit_mib=needs.memory_mib,
            group=_GROUPS,
            grace_ms=self._settings.grace_ms,
        )

    def environment(self, digest: str) -> Path:
        """Made if need be, which may take minutes. Raises SetupError."""
        return environment_root(digest, open_blobs(self.config), self._environments())

    def spec(
        self,
        call: TaskCall,
        folder: AttemptFolder,
        image: Image,
        *,
        environment: Path | None,
        network: str | None,
        gpus: Sequence[int],
    ) -> Spec:
        needs = call.requirements
        words = [image.python]
        if environment is not None and image.ours:
            words = [str(environment / "bin" / "python")]
        elif image.beside is not None:
            words = rootfs.words_elsewhere(_BESIDE)
        scratch = folder.path / _SCRATCH
        scratch.mkdir(mode=0o700)
        mounts = [*self._library, *self._shared, *self._settings.mounts]
        mounts += [Mount(str(folder.path), ATTEMPT, True), Mount(str(scratch), "/tmp", True)]
        if call.code.bundle is None and call.code.target == RUNS:
            mounts += _training_mounts(scratch)
        if call.log is not None:
            mounts.append(Mount(_touched(call.log), _LOG, True))
        if environment is not None:
            mounts.append(Mount(str(environment), str(environment)))
            mounts += links_of_environments(self._environments()) if image.ours else ()
        return Spec(
            name=container_name(folder),
            image=image.name,
            command=(*words, "-P", "-c", _PROGRAM, ATTEMPT),
            mounts=_one_each(mounts),
            beside=None if image.beside is None else (image.beside, _BESIDE),
            variables=_variables(image, environment),
            labels=self._labels(call, folder),
            memory_mib=needs.memory_mib,
            cpus=needs.cpus,
            pids=self._settings.pids,
            network=network or self._settings.network,
            gpus=tuple(gpus),
            fixed_root=image.ours,
            workdir="/tmp" if image.ours else None,
            pidfile=str(folder.beside(_HOLDER)),
            held_in=str(folder.path),
        )

    def _environments(self) -> Path:
        return Path(self._settings.bundles).with_name("environments").resolve()

    def cloud_variables(self) -> dict[str, str]:
        """What storage elsewhere is reached with; nothing where artifacts lie on this machine."""
        blobs = self._settings.blobs or ""
        if "://" not in blobs or blobs.startswith("file://"):
            return {}
        withheld = self._settings.withheld
        return {name: value for name, value in os.environ.items() if name.startswith(_CLOUD) and name not in withheld}

    def project_labels(self) -> dict[str, str]:
        return {"skylift.project": self._settings.project, "skylift.backend": self._settings.name}

    def _labels(self, call: TaskCall, folder: AttemptFolder) -> dict[str, str]:
        return {
            **self.project_labels(),
            "skylift.run": call.run_id,
            "skylift.token": call.token,
            "skylift.delivery": str(call.delivery),
            "skylift.label": "".join(c if c.isprintable() and c != "," else " " for c in call.label),
            "skylift.attempt": str(folder.path),
        }

    def _shared_mounts(self) -> list[Mount]:
        """Under the same paths as here, so that what names them is right on both sides."""
        settings = self._settings
        mounts = [Mount(path, path) for path in settings.paths if Path(path).is_dir()]
        written = [settings.bundles] if settings.bundles else []
        for url in (settings.blobs, self.config.checkpoints):
            path = _local(url)
            if path is not None:
                written.append(path)
        for path in written:
            Path(path).mkdir(parents=True, exist_ok=True)
            mounts.append(Mount(path, path, True))
        return mounts


def container_name(folder: AttemptFolder) -> str:
    """One folder, one container: what is started twice is refused."""
    return f"skylift-{hashlib.sha256(str(folder.path).encode()).hexdigest()[:24]}"


def holder_of(spec: Spec) -> int | None:
    """The process of this machine that ends with a container just started, where there is one."""
    with contextlib.suppress(OSError, ValueError):
        return int(Path(spec.pidfile or "").read_text())
    return None


def scratch_of(folder: AttemptFolder) -> Path:
    """What is `/tmp` to the attempt."""
    return folder.path / _SCRATCH


def _one_each(mounts: Sequence[Mount]) -> tuple[Mount, ...]:
    """The last one of each target: what the settings say of the project's own folder, say, goes over what we say."""
    return tuple({os.path.normpath(mount.target): mount for mount in mounts}.values())


def _training_mounts(scratch: Path) -> list[Mount]:
    """The folders of a training job, whatever of its image may be written. They go with the scratch folder."""
    mounts = []
    for name in GIVEN:
        folder = scratch / ".ml" / name
        folder.mkdir(mode=0o700, parents=True)
        mounts.append(Mount(str(folder), str(IN_CONTAINER / name), True))
    return mounts


def _variables(image: Image, environment: Path | None) -> dict[str, str]:
    """In an image that is not ours its own packages go before what Skylift needs; the program appends that. Where our
    Python is only beside it, its programs must not hear of that."""
    if image.beside is not None:
        return {"PYTHONHOME": rootfs.home_elsewhere(_BESIDE), IMAGE_COMMAND: image.command}
    search = [SKYLIFT]
    if image.ours and environment is None:
        search.append(NEEDS)
    if environment is not None and not image.ours:
        search.append(str(site_packages(environment)))
    variables = {"PYTHONPATH": ":".join(search), "PYTHONDONTWRITEBYTECODE": "1", IMAGE_COMMAND: image.command}
    if image.ours:
        folders = [str(Path(image.python).parent), "/usr/local/bin", "/usr/bin", "/bin"]
        if environment is not None:
            folders.insert(0, str(environment / "bin"))
            variables["VIRTUAL_ENV"] = str(environment)
        variables |= {"HOME": "/tmp", "PATH": ":".join(folders), "LANG": "C.UTF-8"}
    return variables


def _touched(log: str) -> str:
    """A file can be mounted only where there is one."""
    path = Path(log)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    return str(path.absolute())


def _local(url: str | None) -> str | None:
    if url is None:
        return None
    if url.startswith("file://"):
        return url.removeprefix("file://").partition("?")[0]
    return None if "://" in url else str(Path(url).absolute())


def parsed_mount(text: str, project: Path) -> Mount:
    """`SOURCE`, `SOURCE:TARGET` or `SOURCE:TARGET:ro`. ValueError says what is wrong."""
    source, _, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    if target in ("ro", "rw") and not mode:
        target, mode = "", target
    if not source or mode not in ("", "ro", "rw"):
        raise ValueError(f"{text!r} is not of the form SOURCE[:TARGET][:ro]")
    path = str((project / Path(source).expanduser()).resolve())
    if target and not target.startswith("/"):
        raise ValueError(f"{text!r}: the target {target!r} is not an absolute path")
    return Mount(path, target or path, mode != "ro")
