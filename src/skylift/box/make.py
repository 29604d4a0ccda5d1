"""From the settings to a box."""

from __future__ import annotations

import time
from collections.abc import Sequence

from skylift.box.ec2 import Ec2Box
from skylift.box.keeping import Keeping
from skylift.config.box import BoxSettings
from skylift.ports.compute import Leased
from skylift.units import parse_duration_ms


def keeping_of(settings: BoxSettings) -> Keeping:
    """Raises BoxTrouble, SetupError, InvalidAmount."""
    return Keeping(Ec2Box(settings), parse_duration_ms(settings.lease, "[box] lease"))


class BoxHolder:
    """For sweepers: a box that runs past its lease and office hours is ended, which for a box is stopped."""

    def __init__(self, settings: BoxSettings) -> None:
        self._settings = settings

    def leased(self) -> Sequence[Leased]:
        return keeping_of(self._settings).leased(time.time_ns() // 1_000_000)

    def end(self, leased: Sequence[Leased]) -> None:
        keeping_of(self._settings).end(leased)
