"""Memory and time as people write them."""

from __future__ import annotations

import pytest

from skylift.units import InvalidAmount, parse_duration_ms, parse_memory_mib


@pytest.mark.parametrize(
    ("text", "mib"), [("1 GiB", 1024), ("512 MiB", 512), ("2G", 2048), (300, 300), ("1048576 B", 1), ("1.5gib", 1536)]
)
def test_memory(text: str | int, mib: int) -> None:
    assert parse_memory_mib(text) == mib


@pytest.mark.parametrize("text", ["", "much", "1 XB", "0", 0, "12 B", -3, True])
def test_memory_that_is_none(text: str | int) -> None:
    with pytest.raises(InvalidAmount, match="memory="):
        parse_memory_mib(text)


@pytest.mark.parametrize(
    ("text", "ms"),
    [("2h", 7_200_000), ("1h 30m", 5_400_000), ("90s", 90_000), (1.5, 1500), ("250ms", 250), ("1 min", 60_000)],
)
def test_duration(text: str | float, ms: int) -> None:
    assert parse_duration_ms(text) == ms


@pytest.mark.parametrize("text", ["", "soon", "5 parsecs", "1h later", 0, -1, True])
def test_duration_that_is_none(text: str | float) -> None:
    with pytest.raises(InvalidAmount, match="timeout="):
        parse_duration_ms(text, "timeout")
