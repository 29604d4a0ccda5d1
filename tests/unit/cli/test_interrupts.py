"""Ctrl-C while a line of progress is being written: the pause is asked for, and nothing breaks."""

from __future__ import annotations

import io
import signal
import sys
from typing import Any, cast

import click
import pytest

from skylift.cli.driving import _PauseOnInterrupt


class Interrupting(io.RawIOBase):
    """Somebody presses Ctrl-C while the first of it is written."""

    pressed = False

    def writable(self) -> bool:
        return True

    def write(self, text: Any) -> int:
        if not self.pressed:
            self.pressed = True
            signal.raise_signal(signal.SIGINT)
        return len(text)


class Told:
    """A runtime that notes for what a pause was asked."""

    def __init__(self) -> None:
        self.paused: list[object] = []

    def request_pause(self, record: object) -> None:
        self.paused.append(record)


def test_ctrl_c_in_the_midst_of_a_line(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    runtime, record = Told(), object()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BufferedWriter(Interrupting()), line_buffering=True))
    with _PauseOnInterrupt(cast("Any", runtime), cast("Any", record)):
        click.echo("held: started", err=True)
    assert runtime.paused == [record]
    assert "pausing: tasks that run may end" in capfd.readouterr().err
