"""The folders of a SageMaker training job: what it finds when it starts, and what is taken from it when it ends."""

from __future__ import annotations

import json
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from skylift.compute.jobs.training_variables import toolkit_variables
from skylift.errors import SetupError

IN_CONTAINER = Path("/opt/ml")
HOST = "algo-1"
_GROUP = "homogeneousCluster"


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

    @property
    def in_container(self) -> bool:
        return self.root == IN_CONTAINER

    def prepare(self) -> None:
        """Make them, write the configuration, fetch the channels. Raises SetupError for a channel that cannot be."""
        for folder in (self._config, self._data, self.model, self.output_data, self.checkpoints):
            folder.mkdir(parents=True, exist_ok=True)
        self._write("hyperparameters.json", self._hyper())
        self._write("inputdataconfig.json", self._channels())
        self._write("resourceconfig.json", self._resources())
        for one in self._parameters.get("InputDataConfig") or []:
            self._fetch(one)

    def variables(self) -> dict[str, str]:
        return toolkit_variables(self.root, self._hyper(), self._channels(), self._resources())

    def failure(self) -> str | None:
        """What the program wrote of its failure."""
        file = self.root / "output" / "failure"
        try:
            return file.read_text(encoding="utf-8", errors="replace")[:1_024].strip() or None
        except OSError:
            return None

    def _write(self, name: str, content: Any) -> None:
        (self._config / name).write_text(json.dumps(content), encoding="utf-8")

    def _hyper(self) -> dict[str, str]:
        """Texts, whatever they stand for."""
        given: dict[str, Any] = self._parameters.get("HyperParameters") or {}
        return {name: value if isinstance(value, str) else json.dumps(value) for name, value in given.items()}

    def _channels(self) -> dict[str, Any]:
        channels = self._parameters.get("InputDataConfig") or []
        return {str(one.get("ChannelName")): self._channel(one) for one in channels}

    def _channel(self, one: dict[str, Any]) -> dict[str, Any]:
        """What the state leaves out is what the service takes for it; a content type that nobody gave is not there."""
        source = (one.get("DataSource") or {}).get("S3DataSource") or {}
        content = {} if one.get("ContentType") is None else {"ContentType": one["ContentType"]}
        return {
            **content,
            "TrainingInputMode": self._mode(one),
            "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
            "RecordWrapperType": one.get("RecordWrapperType", "None"),
        }

    def _mode(self, channel: dict[str, Any]) -> str:
        specified = self._parameters.get("AlgorithmSpecification") or {}
        return str(channel.get("InputMode") or specified.get("TrainingInputMode") or "File")

    def _resources(self) -> dict[str, Any]:
        machine = self._parameters.get("ResourceConfig") or {}
        instance = machine.get("InstanceType", "local")
        return {
            "current_host": HOST,
            "current_instance_type": instance,
            "current_group_name": _GROUP,
            "hosts": [HOST],
            "instance_groups": [{"instance_group_name": _GROUP, "instance_type": instance, "hosts": [HOST]}],
            "network_interface_name": "eth0",
        }

    def _fetch(self, channel: dict[str, Any]) -> None:
        name = str(channel.get("ChannelName"))
        source = (channel.get("DataSource") or {}).get("S3DataSource") or {}
        url = source.get("S3Uri")
        if not url:
            raise SetupError(f"channel {name!r} has no S3DataSource.S3Uri", hint="other sources are not fetched here")
        if "/" in name or name in ("", ".", ".."):
            raise SetupError(f"the channel's name {name!r} is no folder's name")
        self._check_way(name, self._mode(channel), source.get("S3DataType") or "S3Prefix")
        try:
            fetch_all(str(url), self._data / name)
        except (OSError, ValueError, ImportError) as problem:
            raise SetupError(f"channel {name!r} cannot be read from {url}: {problem}") from problem

    @staticmethod
    def _check_way(name: str, mode: str, kind: str) -> None:
        """A program that waits for a pipe, or for what a manifest lists, would train on something else."""
        if mode not in ("File", "FastFile"):
            raise SetupError(f"channel {name!r} has the input mode {mode!r}: here it is File or FastFile")
        if kind != "S3Prefix":
            raise SetupError(
                f"channel {name!r} has the S3DataType {kind!r}, which is not read here",
                hint="give it as S3Prefix: the prefix that its objects have in common",
            )


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
    if not files and not _is_local(filesystem):
        path, files = _begin_like(filesystem, path)
    if not files and not missing_ok:
        raise FileNotFoundError(f"there is nothing at {url}")
    for file in files:
        target = folder / str(file).removeprefix(path).lstrip("/")
        if ".." in target.relative_to(folder).parts:  # a key of an object may be any text
            raise ValueError(f"the object {str(file)[:200]!r} would lie outside of the channel's folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        filesystem.get_file(file, str(target))


def _is_local(filesystem: Any) -> bool:
    """Files have folders, whose names are whole; what is beside a folder is not in it."""
    return "file" in ((filesystem.protocol,) if isinstance(filesystem.protocol, str) else filesystem.protocol)


def _begin_like(filesystem: Any, prefix: str) -> tuple[str, list[str]]:
    """Where a prefix is no folder: the objects whose keys begin with it, and the folder that they are in."""
    folder = prefix.rpartition("/")[0]
    entries = filesystem.ls(folder, detail=False) if folder and filesystem.exists(folder) else []
    alike = [str(entry) for entry in entries if str(entry).lstrip("/").startswith(prefix.lstrip("/"))]
    return folder, [str(file) for entry in alike for file in filesystem.find(entry)]


def check_place(url: str) -> None:
    """Raises OSError, ValueError or ImportError for a place that cannot be written to by its name alone; a folder of
    this machine is made."""
    import fsspec

    filesystem, path = fsspec.core.url_to_fs(url)
    if _is_local(filesystem):
        filesystem.makedirs(path, exist_ok=True)


def store_plain(folder: Path, url: str) -> str:
    """The folder's content as it is, below the URL, which is given back."""
    import fsspec

    filesystem, path = fsspec.core.url_to_fs(url)
    for file in sorted(one for one in folder.rglob("*") if one.is_file()):
        target = f"{path.rstrip('/')}/{file.relative_to(folder)}"
        filesystem.makedirs(filesystem._parent(target), exist_ok=True)
        filesystem.put_file(str(file), target)
    return url


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
