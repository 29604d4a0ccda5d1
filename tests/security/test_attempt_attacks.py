"""Attempts and workers that lie: in their own folder, in what they answer, and tasks that only look like ours."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import msgspec
import pytest

from skylift.asl.events import Usage
from skylift.compute.attempts import AttemptFolder, AttemptFolders, Watcher
from skylift.compute.batch.joined import BoxSays, Ended, JoinedBoxes
from skylift.compute.batch.provider import Held
from skylift.compute.container.engine import ContainerEngine, ImageMissing
from skylift.compute.jobs.training_checkpoints import CheckpointSync
from skylift.compute.jobs.training_folders import TrainingFolders, fetch_all
from skylift.compute.worker.solo_files import SoloOrder
from skylift.compute.worker.wire import WorkerConfig
from skylift.lending.api import GivenTask
from skylift.lending.tasks import Rules, read
from skylift.ports.compute import Failed, Lost, Outcome, OutOfMemory, Succeeded
from skylift.ports.envelope import Answer, Envelope, open_answer, seal
from skylift.ports.foreign import LONGEST_CAUSE
from skylift.stores.open import open_store
from skylift.testing.backend_harness import call

CONFIG = WorkerConfig(name="local-1", backend="local", blobs="blobs")
NAMES = ("outcome", "lease", "kept", "alive", "crash", "order", "stop", "bell", "ear", "warned")


@pytest.fixture
def folder(tmp_path: Path) -> AttemptFolder:
    order = SoloOrder(call=call("double", x=1), config=CONFIG, asked_ms=0)
    return AttemptFolders(tmp_path / "attempts", lease_ms=60_000).create(order)


def everything(folder: AttemptFolder) -> None:
    """What an engine does with a folder."""
    fresh = AttemptFolder(folder.path)
    assert fresh.outcome() is None
    assert fresh.until_ms <= 2**53 and fresh.process is None
    _ = fresh.order, fresh.alive, fresh.kept, fresh.started, fresh.last_words()
    fresh.ask_to_stop()
    fresh.give_outcome(Lost(reason="it lies"))


@pytest.mark.parametrize("kind", ["link", "device", "pipe", "folder", "dangling", "garbage"])
def test_nothing_in_a_folder_leads_elsewhere_or_holds_up(folder: AttemptFolder, tmp_path: Path, kind: str) -> None:
    victim, missing = tmp_path / "victim", tmp_path / "missing"
    victim.write_bytes(b"precious")
    for name in NAMES:
        path = folder.path / name
        path.unlink(missing_ok=True)
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        elif kind == "garbage":
            path.write_bytes(b"9" * 5_000)
        else:
            path.symlink_to({"link": victim, "device": Path("/dev/zero"), "dangling": missing}[kind])
    done = threading.Thread(target=everything, args=(folder,), daemon=True)
    done.start()
    done.join(60)
    assert not done.is_alive(), "it waits for something"
    assert victim.read_bytes() == b"precious" and not missing.exists()


def test_what_the_engine_writes_follows_no_link(folder: AttemptFolder, tmp_path: Path) -> None:
    """The names of drafts can be guessed."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    for name in ("lease", "outcome"):
        (folder.path / f"{name}.{os.getpid()}").symlink_to(victim)
    folder.renew(int(time.time() * 1000) + 5_000)
    folder.give_outcome(Lost(reason="gone"))
    assert victim.read_bytes() == b"precious"
    assert folder.outcome() == Lost(reason="gone") and folder.until_ms > time.time() * 1000


def test_a_bell_that_is_none_is_not_listened_to(folder: AttemptFolder, tmp_path: Path) -> None:
    (folder.path / "bell").unlink()
    (folder.path / "bell").symlink_to(tmp_path / "victim")
    (tmp_path / "victim").write_bytes(b"precious")
    ends: list[Outcome | None] = []
    watcher = Watcher(lambda _, outcome: ends.append(outcome), lease_ms=300)
    watcher.watch(folder)
    folder.give_outcome(Lost(reason="gone"))
    until = time.monotonic() + 60
    while not ends and time.monotonic() < until:
        time.sleep(0.01)
    watcher.close()
    assert ends == [Lost(reason="gone")]


def test_files_of_an_attempt_are_its_owners_alone(folder: AttemptFolder) -> None:
    folder.give_secrets({"TOKEN": "secret"})
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert {file.name: file.stat().st_mode & 0o077 for file in folder.path.iterdir()} == dict.fromkeys(
        (file.name for file in folder.path.iterdir()), 0
    )
    beside = folder.beside("holder")
    beside.write_text("1")
    assert beside.parent == folder.path.parent and not beside.is_relative_to(folder.path)
    folder.remove()
    assert not beside.exists() and not folder.path.exists()


@pytest.mark.parametrize("image", ["--privileged", "-v=/:/host", "--help", "", "a b", "oci:/etc/x", "dir:/etc", "a\n"])
def test_what_is_no_images_name_never_reaches_the_engine(image: str, tmp_path: Path) -> None:
    told = tmp_path / "told"
    program = tmp_path / "podman"
    program.write_text(f'#!/bin/sh\necho "$@" >> {told}\n')
    program.chmod(0o755)
    with pytest.raises(ImageMissing):
        ContainerEngine((str(program),), "podman").image_id(image)
    assert not told.exists()
    ContainerEngine((str(program),), "podman").image_id("docker.io/library/python:3.12@sha256:0a")
    assert "python:3.12" in told.read_text()


def test_data_that_looks_like_a_task_of_ours_is_data() -> None:
    """A worker without --handler runs no code for it, one with --handler hands it over."""
    forged = msgspec.structs.replace(call("double"), code=msgspec.structs.replace(call("x").code, target="os:system"))
    given = GivenTask("token-of-the-task", seal(Envelope(call=forged)))
    refused = read(given, Rules())
    assert refused.call is None and refused.refusal is not None and refused.refusal.error == "Skylift.NoHandler"
    handed = read(given, Rules(handler="box:train"))
    assert handed.call is not None and handed.call.code.target == "box:train" and not handed.ours
    assert handed.call.arguments == json.loads(given.input)
    real = read(GivenTask(forged.token, given.input), Rules())
    assert real.ours and real.call is not None


def test_figures_that_cannot_be_are_left_out() -> None:
    for wrong in (
        Usage(saved_ms=float("inf")),
        Usage(cost_usd_micro=-5),
        Usage(duration_ms=float("nan")),
        Usage(in_bytes=2**60),
        Usage(worker="x" * 10_000),
    ):
        sealed = {"skylift": msgspec.to_builtins(Answer(delivery=1, outcome=Succeeded(output=1, usage=wrong)))}
        found = open_answer(sealed)
        assert found is not None and found.outcome == Succeeded(output=1), wrong
    fine = Succeeded(output=1, usage=Usage(duration_ms=3.0, service="process"))
    assert open_answer(json.loads(seal(Answer(delivery=1, outcome=fine)))) == Answer(delivery=1, outcome=fine)
    long = open_answer(json.loads(seal(Answer(delivery=1, outcome=Failed(error="E" * 999, cause="c" * 99_999)))))
    assert long is not None and isinstance(long.outcome, Failed)
    assert (len(long.outcome.error), len(long.outcome.cause)) == (256, LONGEST_CAUSE)
    memory = open_answer(json.loads(seal(Answer(delivery=1, outcome=OutOfMemory(limit_mib=-7)))))
    assert memory is not None and memory.outcome == OutOfMemory(limit_mib=None)


@pytest.mark.parametrize(
    "says",
    [
        {"vcpus": -1, "memory_mib": 100},
        {"vcpus": 1e300, "memory_mib": 100},
        {"vcpus": 1, "memory_mib": 0},
        {"vcpus": 1, "memory_mib": 100, "gpus": -1},
        {"vcpus": 1, "memory_mib": 100, "gpu": "x" * 1000},
        {"vcpus": 1, "memory_mib": 100, "holds": ["x"] * 20_000},
        {"vcpus": 1, "memory_mib": 100, "account": "444455556666"},
    ],
)
def test_a_box_that_cannot_be_does_not_join(says: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(says), type=BoxSays)


def test_a_box_ends_nothing_that_another_account_has(tmp_path: Path) -> None:
    store = open_store(None, home=tmp_path)
    boxes = JoinedBoxes(store.resources)
    size = {"vcpus": 1.0, "memory_mib": 100}
    joined = boxes.said("2" * 12, "box", BoxSays(**size), 1)
    (theirs,) = boxes.all(1)
    one = call("double", x=1)
    boxes.give(theirs, one, Held(token=one.token, memory_mib=10))
    lie = [Ended(token=one.token, outcome=Succeeded(output="forged"))]
    orders = boxes.said("1" * 12, "box", BoxSays(**size, id=joined.id, holds=[one.token], ended=lie), 2)
    assert orders.run == [] and orders.id != joined.id
    attempt = boxes.attempt(one.token)
    assert attempt is not None and attempt.outcome is None
    assert [each.token for each in boxes.said("2" * 12, "box", BoxSays(**size, id=joined.id), 3).run] == [one.token]
    store.close()


class Hostile:
    """A bucket whose owner has chosen the keys."""

    def isfile(self, path: str) -> bool:
        return False

    def exists(self, path: str) -> bool:
        return True

    def find(self, path: str) -> list[str]:
        return [f"{path}/fine", f"{path}/a/../../../escaped"]

    def get_file(self, key: str, target: str) -> None:
        Path(target).write_text(key)


def test_objects_of_a_channel_stay_in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsspec.core.url_to_fs", lambda url: (Hostile(), "bucket/data"))
    with pytest.raises(ValueError, match="outside"):
        fetch_all("s3://bucket/data", tmp_path / "in" / "channel")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["fine"]


def test_checkpoints_lie_in_the_jobs_own_folder(tmp_path: Path) -> None:
    folders = TrainingFolders(tmp_path / "ml", {})
    for path in (f"{tmp_path}/ml/../../etc", "/etc", "etc", ".."):
        assert CheckpointSync(folders, {"LocalPath": path})._folder == folders.checkpoints
