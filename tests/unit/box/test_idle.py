"""When a box is idle: decided in virtual time, and what the signs are read from."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from skylift.box.idle import Idle, Sign, judge
from skylift.box.signs import Attempts, Gpus, Jupyter, KeepAwake, Logins, Processors, runtime_folders
from skylift.box.watch import TRIES, watch
from skylift.cli.main import cli

MINUTE = 60_000
AFTER, EVERY = 30 * MINUTE, 30_000


def sign(**fields: Any) -> Sign:
    return Sign(**{"source": "cpu", **fields})


def judged(idle: Idle, now: int, *signs: Sign) -> tuple[Idle, Any]:
    return judge(idle, signs, now_ms=now, after_ms=AFTER, every_ms=EVERY)


def test_use_now_begins_the_quiet_time_anew() -> None:
    idle = Idle(quiet_since_ms=0, looked_ms=29 * MINUTE)
    idle, verdict = judged(idle, 29 * MINUTE + EVERY, sign(busy=True))
    assert (verdict.stop, verdict.quiet_ms, [s.source for s in verdict.awake_by]) == (False, 0, ["cpu"])
    assert idle.quiet_since_ms == 29 * MINUTE + EVERY


def test_it_stops_when_all_were_quiet_for_long_enough_and_not_a_moment_before() -> None:
    idle = Idle(quiet_since_ms=0, looked_ms=AFTER - EVERY)
    assert not judged(idle, AFTER - 1, sign(), sign(source="gpu"))[1].stop
    assert judged(idle, AFTER, sign(), sign(source="gpu"))[1].stop


def test_a_source_that_remembers_counts_from_then() -> None:
    idle = Idle(quiet_since_ms=0, looked_ms=AFTER)
    jupyter = sign(source="jupyter", last_ms=AFTER - 10 * MINUTE)
    _, verdict = judged(idle, AFTER + EVERY, sign(), jupyter)
    assert (verdict.stop, verdict.awake_by) == (False, (jupyter,))
    assert verdict.quiet_ms == 10 * MINUTE + EVERY
    assert judged(Idle(quiet_since_ms=0, looked_ms=100 * MINUTE), 100 * MINUTE + EVERY, jupyter)[1].stop


def test_what_is_said_of_the_future_is_now() -> None:
    _, verdict = judged(Idle(quiet_since_ms=0, looked_ms=0), EVERY, sign(last_ms=10**15))
    assert verdict.quiet_ms == 0


@pytest.mark.parametrize("now", [10 * AFTER, 5_000])
def test_a_machine_that_slept_or_was_set_to_another_time_has_the_whole_time_again(now: int) -> None:
    _, verdict = judged(Idle(quiet_since_ms=0, looked_ms=2 * MINUTE), now, sign())
    assert (verdict.stop, verdict.quiet_ms) == (False, 0)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000

    def sleep(self, seconds: float) -> None:
        self.now += round(seconds * 1000)


class Told:
    """A source that is busy up to a time."""

    def __init__(self, until_ms: int) -> None:
        self.until_ms = until_ms

    def look(self, now_ms: int) -> Sign:
        return sign(busy=now_ms <= self.until_ms, note="working")


def watched(until_ms: int, statuses: list[int]) -> tuple[int, Clock, list[str], list[int]]:
    clock, said, stopped = Clock(), [], []

    def stop() -> int:
        stopped.append(clock.now)
        return statuses.pop(0)

    status = watch(
        [Told(until_ms)],
        stop,
        after_ms=AFTER,
        every_ms=EVERY,
        now_ms=lambda: clock.now,
        sleep=clock.sleep,
        say=said.append,
    )
    return status, clock, said, stopped


def test_a_day_of_work_and_then_half_an_hour() -> None:
    day = 1_000_000 + 24 * 60 * MINUTE
    status, _, said, stopped = watched(day, [0])
    assert status == 0
    assert day + AFTER <= stopped[0] <= day + AFTER + 2 * EVERY
    assert said == ["quiet", "idle for 1800 s: stopping"]


def test_a_stop_command_that_fails_is_run_again_and_then_given_up() -> None:
    assert watched(0, [7, 0])[0] == 0
    status, _, said, stopped = watched(0, [7] * TRIES)
    assert (status, len(stopped)) == (7, TRIES)
    assert "failed with exit status 7" in said[-1]


def test_processors_are_measured_between_two_looks() -> None:
    readings = iter([(0.0, 0.0), (1.0, 100.0), (51.0, 200.0), (51.0, 200.0)])
    cpu = Processors(5.0, lambda: next(readings))
    assert [cpu.look(0).busy for _ in range(3)] == [False, True, False]
    assert Processors(100.0).look(0).note.endswith("100 % is idle")


def test_gpus(tmp_path: Path) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 3\necho 97\n")
    tool.chmod(0o755)
    gpus = Gpus(5, (str(tool),))
    assert gpus.there() and gpus.look(0) == Sign(source="gpu", busy=True, note="97 % used of the busiest of 2")
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert (gpus.look(0).busy, gpus.look(0).note) == (False, "nvidia-smi does not tell: CalledProcessError")
    assert not Gpus(5, ("no-such-tool",)).there()


@pytest.fixture
def jupyter(tmp_path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    answers: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            allowed = self.headers["Authorization"] == "token secret"
            found = answers.get(self.path) if allowed else None
            raw = json.dumps(found if found is not None else {}).encode()
            self.send_response(200 if found is not None else 404 if allowed else 403)
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    about = {"url": f"http://127.0.0.1:{server.server_port}/base/", "token": "secret", "pid": os.getpid()}
    (tmp_path / "jpserver-1.json").write_text(json.dumps(about))
    (tmp_path / "jpserver-2.json").write_text(json.dumps({**about, "pid": 2**22 + 1}))
    (tmp_path / "jpserver-3.json").write_text("{")
    try:
        yield tmp_path, answers
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_jupyter_kernels_and_terminals(jupyter: tuple[Path, dict[str, Any]]) -> None:
    folder, answers = jupyter
    source = Jupyter([folder])
    answers["/base/api/kernels"] = [
        {"execution_state": "idle", "last_activity": "2026-11-21T10:00:00.000000Z"},
        {"execution_state": "idle", "last_activity": "not a time"},
    ]
    quiet = source.look(0)
    assert (quiet.busy, quiet.last_ms, quiet.note) == (False, 1_795_255_200_000, "2 kernels, 0 running")
    answers["/base/api/terminals"] = [{"name": "1", "last_activity": "2026-11-21T11:00:00Z"}]
    assert source.look(0).last_ms == 1_795_258_800_000
    answers["/base/api/kernels"][0]["execution_state"] = "busy"
    assert source.look(0).busy
    (folder / "jpserver-1.json").write_text((folder / "jpserver-1.json").read_text().replace("secret", "wrong"))
    assert "does not answer: HTTPError" in source.look(0).note
    assert Jupyter([folder / "none"]).look(0) == Sign(source="jupyter", note="no server")


@pytest.mark.parametrize("answer", [b"what?\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 100_000])
def test_what_is_no_server_of_jupyter_keeps_nothing_awake(tmp_path: Path, answer: bytes) -> None:
    """It ended the watch, and the box ran on for ever."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with listening.accept()[0] as connection:
                connection.recv(65_536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        (tmp_path / "jpserver-1.json").write_text(json.dumps({"url": url, "pid": os.getpid()}))
        (tmp_path / "jpserver-2.json").write_text("[" * 100_000)
        (tmp_path / "jpserver-3.json").write_text(json.dumps({"url": "http://a b/", "pid": os.getpid()}))
        (tmp_path / "jpserver-4.json").write_text(json.dumps({"url": "http://127.0.0.1:1", "pid": 2**80}))
        found = Jupyter([tmp_path]).look(0)
        thread.join(60)
    assert not found.busy and found.note.count("does not answer") == 2


def test_where_jupyter_leaves_its_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    assert runtime_folders()[0] == tmp_path


def test_logins(tmp_path: Path) -> None:
    (tmp_path / "pts").mkdir()
    terminal = tmp_path / "pts" / "3"
    terminal.touch()
    os.utime(terminal, (1_000, 2_000))
    users = [SimpleNamespace(terminal="pts/3"), SimpleNamespace(terminal=None), SimpleNamespace(terminal="gone")]
    titles = ["sshd: ann@pts/3", "python -m x"]
    logins = Logins(lambda: users, lambda: titles, tmp_path)
    assert logins.look(0) == Sign(source="logins", last_ms=1_000_000, note="3 terminals")
    titles.append("sshd-session: ann@notty")
    assert logins.look(0).busy
    assert "1 connections without one" in logins.look(0).note


def test_attempts_of_skylift() -> None:
    assert not Attempts(lambda: ["python -m skylift.cli server"]).look(0).busy
    assert Attempts(lambda: ["/usr/bin/python3 -m skylift.compute.worker"]).look(0).busy


def test_real_workers_are_seen() -> None:
    from skylift.compute.process import ProcessBackend

    backend = ProcessBackend(lambda token, outcome: None, workers=1)
    try:
        backend.warm()
        end = time.monotonic() + 90
        while not Attempts().look(0).busy:
            assert time.monotonic() < end
            time.sleep(0.02)
    finally:
        backend.close()


def test_supervisors_of_skylift() -> None:
    assert Attempts(lambda: ["python -m skylift.compute.worker.solo /x"]).look(0).busy


def test_a_file_keeps_it_awake(tmp_path: Path) -> None:
    file = tmp_path / "awake"
    keep = KeepAwake(file)
    assert not keep.look(0).busy
    file.touch()
    assert keep.look(0).busy
    file.write_text("2h\n")
    os.utime(file, (1_000, 1_000))
    assert keep.look(1_000_000 + 119 * MINUTE).busy
    assert not keep.look(1_000_000 + 121 * MINUTE).busy
    file.write_text("until tomorrow")
    assert keep.look(0).busy and "no time" in keep.look(0).note


def test_the_command_says_what_keeps_the_box_awake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("skylift.cli.idle.LOOK_S", 0.0)
    sources = [KeepAwake(tmp_path / "awake"), Told(0)]
    monkeypatch.setattr("skylift.box.signs.usual", lambda cpu, keep: sources)
    quiet = CliRunner().invoke(cli, ["idle", "--once"], standalone_mode=False)
    assert (quiet.return_value, quiet.stderr) == (1, "nothing keeps it awake\n")
    (tmp_path / "awake").touch()
    awake = CliRunner().invoke(cli, ["idle", "--once"], standalone_mode=False)
    assert (awake.return_value, awake.stderr) == (0, "kept awake by keep-awake\n")
    assert awake.stdout.splitlines()[0].split("\t")[:3] == ["keep-awake", "awake", "now"]


def test_the_command_runs_what_stands_behind_the_dashes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("skylift.box.signs.usual", lambda cpu, keep: [])
    done = tmp_path / "done"
    ran = CliRunner().invoke(
        cli, ["idle", "--after", "50ms", "--every", "10ms", "--", "touch", str(done)], standalone_mode=False
    )
    assert (ran.return_value, done.exists()) == (0, True), ran.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--after", "30m"], "there is no command"),
        (["--after", "1s", "--every", "2s", "--", "true"], "look more often"),
        (["--cpu", "x%", "--", "true"], "write 5%"),
        (["--after", "soon", "--", "true"], "soon"),
        (["--after", "900000d", "--every", "800000d", "--", "true"], "longer than a day"),
        (["--", "/no/such/program"], "no program '/no/such/program'"),
        (["--keep", "/", "--once"], "is a folder"),
    ],
)
def test_what_cannot_be_meant(arguments: list[str], words: str) -> None:
    from skylift.cli.main import run_cli

    result = CliRunner().invoke(cli, ["idle", *arguments], standalone_mode=False)
    assert result.exception is not None
    assert words in f"{result.exception} {getattr(result.exception, 'hint', '')}"
    assert run_cli(["idle", *arguments]) == 2
