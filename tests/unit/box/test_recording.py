"""The recorder of a machine's use: whole lines, bounded files, what a killed one left."""

from __future__ import annotations

import errno
import json
import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from skylift.box.recording import KEPT, Recorder
from skylift.box.use import ProcessorUse
from skylift.pricing.use_log import read_log


def recorder(file: Path, *, most_bytes: int = 10_000, gpus: tuple[str, ...] = ("no-such-tool",)) -> Recorder:
    times = iter(datetime(2026, 11, 21, tzinfo=UTC) + timedelta(minutes=n) for n in range(10_000))
    readings = iter((40.0 * n, 100.0 * n) for n in range(10_000))
    return Recorder(
        file,
        every_s=0.001,
        most_bytes=most_bytes,
        now=lambda: next(times),
        processors=ProcessorUse(lambda: next(readings)),
        gpu_command=gpus,
    )


def test_lines_can_be_read_by_the_report(tmp_path: Path) -> None:
    file = tmp_path / "use.jsonl"
    assert recorder(file).run(threading.Event(), count=5) == 5
    log = read_log(file.read_text().splitlines())
    assert len(log.samples) == 5 and log.interval_ms == 60_000 and log.bad_count == 0
    assert {sample.cpu for sample in log.samples} == {40.0}
    assert all(sample.memory_mib and sample.gpu is None for sample in log.samples)


def test_it_ends_when_it_is_told(tmp_path: Path) -> None:
    stopping = threading.Event()
    stopping.set()
    assert recorder(tmp_path / "use.jsonl").run(stopping) == 0


def test_gpus_are_in_it_and_what_they_do_not_tell_is_not(tmp_path: Path) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 3, 1000, 16384\necho 97, [N/A], 16384\n")
    tool.chmod(0o755)
    found = recorder(tmp_path / "use.jsonl", gpus=(str(tool),)).write()
    assert (found.gpu, found.gpu_memory_mib) == (97.0, 1000.0)
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert recorder(tmp_path / "use.jsonl", gpus=(str(tool),)).write().gpu is None


def test_files_are_bounded_and_so_is_their_number(tmp_path: Path) -> None:
    file = tmp_path / "use.jsonl"
    recorder(file, most_bytes=400).run(threading.Event(), count=60)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["use.jsonl", *(f"use.jsonl.{number}" for number in range(1, KEPT + 1))]
    assert all(path.stat().st_size <= 400 for path in tmp_path.iterdir())
    newest, older = (json.loads((tmp_path / name).read_text().splitlines()[-1]) for name in (files[0], files[1]))
    assert older["at"] < newest["at"]


def test_a_half_line_of_a_killed_recorder_spoils_no_other(tmp_path: Path) -> None:
    file = tmp_path / "use.jsonl"
    file.write_text('{"at": "2026-11-2')
    recorder(file).run(threading.Event(), count=1)
    log = read_log(file.read_text().splitlines())
    assert len(log.samples) == 1 and log.bad_count == 1


class Ticks(threading.Event):
    """So many moments, none of which takes time."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.left = count

    def wait(self, timeout: float | None = None) -> bool:
        self.left -= 1
        return self.left < 0


def test_a_disk_that_is_full_for_a_while_is_a_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second line is half written, the third not at all; the fourth is whole again."""
    file, said = tmp_path / "use.jsonl", list[str]()
    kept, moments = recorder(file), iter(range(10))
    kept._say = said.append
    real = os.write

    def write(number: int, text: bytes) -> int:
        moment = next(moments)
        if moment == 1:
            return real(number, text[:20])
        if moment == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(number, text)

    monkeypatch.setattr("skylift.box.recording.os.write", write)
    assert kept.run(Ticks(5)) == 3
    log = read_log(file.read_text().splitlines())
    assert (len(log.samples), log.bad_count) == (3, 1)
    assert said == [f"{file}: No space left on device: no line now", f"{file} can be written again"]


def test_a_file_that_never_could_be_written_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        recorder(tmp_path / "no" / "use.jsonl").run(Ticks(3))


def test_times_that_go_backwards_are_no_use_beyond_all(tmp_path: Path) -> None:
    kept = recorder(tmp_path / "use.jsonl")
    for busy, whole in ((5.0, 4.0), (-3.0, 4.0)):
        kept._processors = ProcessorUse(iter([(0.0, 0.0), (busy, whole)]).__next__)
        assert kept.write().cpu in (0.0, 100.0)
