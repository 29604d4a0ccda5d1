"""The plan file: a plan as JSON with its version. Amounts are fractions as text, so that nothing is lost."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import msgspec

from skylift.errors import SetupError
from skylift.placement.plan import VERSION, Plan


def encoded(plan: Plan) -> bytes:
    """The same plan is always the same bytes."""
    return msgspec.json.format(msgspec.json.encode(plan, enc_hook=_out), indent=1) + b"\n"


def decoded(text: bytes | str, where: str = "the plan") -> Plan:
    """Raises SetupError for what is no plan, or one of another version."""
    try:
        version = msgspec.json.decode(text, type=_Head).version
    except msgspec.DecodeError as problem:
        raise SetupError(f"{where} is no plan: {problem}", hint="write one with `skylift plan`") from problem
    if version != VERSION:
        raise SetupError(
            f"{where} is a plan of version {version}, this is version {VERSION}", hint="make the plan again"
        )
    try:
        return msgspec.json.decode(text, type=Plan, dec_hook=_in)
    except msgspec.DecodeError as problem:
        raise SetupError(f"{where} is no plan: {problem}", hint="write one with `skylift plan`") from problem


class _Head(msgspec.Struct):
    version: int


def _out(value: Any) -> Any:
    if isinstance(value, Fraction):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} in a plan")


def _in(wanted: type, value: Any) -> Any:
    if wanted is not Fraction:
        raise NotImplementedError(f"{wanted} in a plan")
    if not isinstance(value, str | int):
        raise ValueError(f"an amount is a fraction such as '125/2', not {value!r}")
    try:
        return Fraction(value)
    except ZeroDivisionError as problem:
        raise ValueError(f"{value!r} is no amount") from problem
