"""Amounts and times of plans as people read them."""

from __future__ import annotations

from fractions import Fraction


def dollars(micro: Fraction) -> str:
    """`$12.3457`, and of what is below a dollar to the micro-dollar."""
    amount = float(micro) / 1e6
    return f"${amount:.4f}" if abs(amount) >= 1 else f"${amount:.6f}"


def duration(seconds: float) -> str:
    """`2 h 3 min`, `4 min 10 s`, `1.25 s`."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def told_apart(one: float, other: float) -> tuple[str, str]:
    """Two times, in seconds where both would read the same."""
    words = duration(one), duration(other)
    return words if words[0] != words[1] else (f"{one:.10g} s", f"{other:.10g} s")
