"""The folders of a SageMaker training job: what it finds when it starts, and what is taken from it when it ends."""

from __future__ import annotations

import json
import shutil
import tarfile
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from skylift.errors import SetupError

SYNC_S = 5.0
"""How often new checkpoints are stored while the job runs."""


class TrainingFolders:
    """`input`, `model`, `output` and `checkpoints` below one root, as the service's documents lay them out."""

    def __init__(self, root: Path, parameters: dict[str, Any]) -> None:
        self.root = root
        self.model = root / "model"
        self.output_data = root / "output" / "data"
        self.checkpoints = root / "checkpoints"
        self._parameters = parameters
        self._config = root / "input" / "config"
        self._data = root / "input" / "data"

    def prepare(self) -> None:
        """Make them, write the configuration, fetch the channels. Raises SetupError for a channel that cannot be."""
        for folder in (self._config, self._data, self.model, self.output_data, self.checkpoints):
            folder.mkdir(parents=True, exist_ok=True)
        channels = self._parameters.get("InputDataConfig") or []
        self._write("hyperparameters.json", _texts(self._parameters.get("HyperParameters") or {}))
        self._write("inputdataconfig.json", {str(one.get("ChannelName")): _channel(one) for one in channels})
        self._write("resourceconfig.json", self._resources())
        for one in channels:
            self._fetch(one)

    def variables(self) -> dict[str, str]:
        """What SageMaker's training toolkit tells programs."""
        channels = [str(one.get("ChannelName")) for one in self._parameters.get("InputDataConfig") or []]
        hyper = _texts(self._parameters.get("HyperParameters") or {})
        return {
            "SM_ROOT": str(self.root),
            "SM_MODEL_DIR": str(self.model),
            "SM_OUTPUT_DATA_DIR": str(self.output_data),
            "SM_CHECKPOINT_DIR": str(self.checkpoints),
            "SM_INPUT_CONFIG_DIR": str(self._config),
            "SM_CHANNELS": json.dumps(channels),
            "SM_HPS": json.dumps(hyper),
            "SM_HOSTS": json.dumps(["algo-1"]),
            "SM_CURRENT_HOST": "algo-1",
            **{f"SM_CHANNEL_{name.upper()}": str(self._data / name) for name in channels},
            **{f"SM_HP_{name.upper()}": value for name, value in hyper.items()},
        }

    def failure(self) -> str | None:
        """What the program wrote of its failure."""
        file = self.root / "output" / "failure"
        try:
            return file.read_text(encoding="utf-8", errors="replace")[:1_024].strip() or None
        except OSError:
            return None

    def _write(self, name: str, content: Any) -> None:
        (self._config / name).write_text(json.dumps(content), encoding="utf-8")

    def _resources(self) -> dict[str, Any]:
        machine = self._parameters.get("ResourceConfig") or {}
        return {
            "current_host": "algo-1",
            "hosts": ["algo-1"],
            "network_interface_name": "eth0",
            "current_instance_type": machine.get("InstanceType", "local"),
            "current_group_name": "homogeneousCluster",
        }

    def _fetch(self, channel: dict[str, Any]) -> None:
        name = str(channel.get("ChannelName"))
        source = (channel.get("DataSource") or {}).get("S3DataSource") or {}
        url = source.get("S3Uri")
        if not url:
            raise SetupError(f"channel {name!r} has no S3DataSource.S3Uri", hint="other sources are not fetched here")
        if "/" in name or name in ("", ".", ".."):
            raise SetupError(f"the channel's name {name!r} is no folder's name")
        try:
            fetch_all(str(url), self._data / name)
        except (OSError, ValueError, ImportError) as problem:
            raise SetupError(f"channel {name!r} cannot be read from {url}: {problem}") from problem


class CheckpointSync:
    """While the job runs: what stands at the S3 URI is in the folder from the start on, and new files go there."""

    def __init__(self, folders: TrainingFolders, config: dict[str, Any]) -> None:
        self._folder = Path(config["LocalPath"]) if config.get("LocalPath") else folders.checkpoints
        if ".." in self._folder.parts or not self._folder.is_relative_to(folders.root):
            self._folder = folders.checkpoints  # where a program of this machine finds it: in its own folder
        self._url: str | None = config.get("S3Uri")
        self._stored: dict[str, tuple[int, int]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="skylift-checkpoints", daemon=True)

    def __enter__(self) -> CheckpointSync:
        if self._url is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            fetch_all(self._url, self._folder, missing_ok=True)
            self._stored = self._look()
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        """The last files are stored also when the attempt is stopped."""
        if self._url is None:
            return
        self._over.set()
        self._thread.join()
        self._store_new()

    def _watch(self) -> None:
        while not self._over.wait(SYNC_S):
            self._store_new()

    def _store_new(self) -> None:
        import fsspec

        seen = self._look()
        for name, stamp in seen.items():
            if self._stored.get(name) != stamp:
                filesystem, path = fsspec.core.url_to_fs(f"{str(self._url).rstrip('/')}/{name}")
                filesystem.makedirs(filesystem._parent(path), exist_ok=True)
                filesystem.put_file(str(self._folder / name), path)
                self._stored[name] = stamp

    def _look(self) -> dict[str, tuple[int, int]]:
        found = {}
        for file in self._folder.rglob("*"):
            if file.is_file():
                stat = file.stat()
                found[str(file.relative_to(self._folder))] = (stat.st_mtime_ns, stat.st_size)
        return found


def fetch_all(url: str, folder: Path, *, missing_ok: bool = False) -> None:
    """All objects under a prefix, or one object, into a folder. Raises FileNotFoundError where there is nothing."""
    import fsspec

    filesystem, path = fsspec.core.url_to_fs(url)
    path = path.rstrip("/")
    folder.mkdir(parents=True, exist_ok=True)
    if filesystem.isfile(path):
        name = path.rpartition("/")[2]
        if name in ("", ".", ".."):
            raise ValueError(f"{url} names no file")
        filesystem.get_file(path, str(folder / name))
        return
    files = filesystem.find(path) if filesystem.exists(path) else []
    if not files and not missing_ok:
        raise FileNotFoundError(f"there is nothing at {url}")
    for file in files:
        target = folder / str(file).removeprefix(path).lstrip("/")
        if ".." in target.relative_to(folder).parts:  # a key of an object may be any text
            raise ValueError(f"the object {str(file)[:200]!r} would lie outside of the channel's folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        filesystem.get_file(file, str(target))


def store_packed(folder: Path, url: str) -> str:
    """The folder's content as a tar.gz at the URL, which is given back."""
    import fsspec

    with tempfile.TemporaryFile() as packed:
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for entry in sorted(folder.iterdir()):
                archive.add(entry, arcname=entry.name)
        packed.seek(0)
        filesystem, path = fsspec.core.url_to_fs(url)
        filesystem.makedirs(filesystem._parent(path), exist_ok=True)
        with filesystem.open(path, "wb") as target:
            shutil.copyfileobj(packed, target)
    return url


def _texts(hyper: dict[str, Any]) -> dict[str, str]:
    """Hyperparameters are texts, whatever they stand for."""
    return {str(name): value if isinstance(value, str) else json.dumps(value) for name, value in hyper.items()}


def _channel(one: dict[str, Any]) -> dict[str, Any]:
    source = (one.get("DataSource") or {}).get("S3DataSource") or {}
    return {
        "ContentType": one.get("ContentType", "None"),
        "TrainingInputMode": one.get("InputMode", "File"),
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": one.get("RecordWrapperType", "None"),
    }
