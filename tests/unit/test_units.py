"""Memory, time and money as people write them."""

from __future__ import annotations

import pytest

from skylift.units import InvalidAmount, dollars, parse_duration_ms, parse_memory_mib, parse_usd


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
    [
        *(("2h", 7_200_000), ("1h 30m", 5_400_000), ("90s", 90_000), (1.5, 1500), ("250ms", 250), ("1 min", 60_000)),
        *(("1h30m", 5_400_000), ("2 hours", 7_200_000), ("1 Hour 5 minutes", 3_900_000), ("1.5 days", 129_600_000)),
        *(("3 secs", 3000), ("1 hr", 3_600_000), ("20 milliseconds", 20), ("60 mins", 3_600_000)),
    ],
)
def test_duration(text: str | float, ms: int) -> None:
    assert parse_duration_ms(text) == ms


@pytest.mark.parametrize(
    "text", ["", "soon", "5 parsecs", "1h later", "1h30", "2 hourss", "3 month", "2.5.1h", 0, -1, True]
)
def test_duration_that_is_none(text: str | float) -> None:
    with pytest.raises(InvalidAmount, match="timeout="):
        parse_duration_ms(text, "timeout")


@pytest.mark.parametrize(
    ("text", "usd"),
    [
        ("5 USD", "5"),
        ("$0.25", "0.25"),
        ("12.50", "12.50"),
        (3, "3"),
        (0.1, "0.1"),
        (1e-7, "0.0000001"),
        ("US$ 7", "7"),
    ],
)
def test_money(text: str | float, usd: str) -> None:
    assert parse_usd(text, "budget") == usd


@pytest.mark.parametrize(
    "text", ["", "5 EUR", "-3 USD", -3, 0, "0.00", "1e9", "5 USD 5", True, float("nan"), float("inf")]
)
def test_money_that_is_none(text: str | float) -> None:
    with pytest.raises(InvalidAmount, match="budget="):
        parse_usd(text, "budget")


@pytest.mark.parametrize(
    ("micro", "text"),
    [(5_000_000, "$5.00"), (123, "$0.000123"), (1_230_000, "$1.23"), (-10_500, "-$0.0105"), (0, "$0.00")],
)
def test_dollars(micro: int, text: str) -> None:
    assert dollars(micro) == text


@pytest.mark.parametrize("duration", ["9" * 400 + "h", float("inf"), float("nan"), "400000000000d"])
def test_no_time_is_endless(duration: str | float) -> None:
    with pytest.raises(InvalidAmount, match="timeout=") as told:
        parse_duration_ms(duration, "timeout")
    assert len(str(told.value)) < 120


@pytest.mark.parametrize("memory", ["9" * 400 + "G", 10**400, 2**60])
def test_no_memory_is_endless(memory: str | int) -> None:
    with pytest.raises(InvalidAmount, match="more memory than there is") as told:
        parse_memory_mib(memory)
    assert len(str(told.value)) < 120
