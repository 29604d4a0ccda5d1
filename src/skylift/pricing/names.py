"""Names that somebody may have meant: of machine types, which people remember by family and size."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher, get_close_matches

MOST = 5
FEW = 12
"""Regions that can be read as a list."""
LIKE = 0.75
"""Names less alike than this are not meant."""
_FAMILY = re.compile(r"[^.\-_]+[.\-_]|[^.\-_]+$")
_NUMBER = re.compile(r"\d+")


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Names of the same family first, the smallest of them before larger ones; then those that are spelt alike."""
    names = list(dict.fromkeys(known))
    wanted = name.strip().lower()
    same = [one for one in names if one.lower() == wanted]
    if same:
        return same
    family = _family(wanted)
    kin = sorted((one for one in names if _family(one) == family), key=lambda one: (-_alike(wanted, one), _size(one)))
    if kin:
        return kin[:MOST]
    scored = sorted((-_alike(wanted, one), one) for one in names if _worth(wanted, one))
    return [one for score, one in scored if -score >= LIKE][:MOST]


def regions_hint(wanted: str, known: Iterable[str]) -> str:
    """What there is for a region that there is not: those spelt alike, else those of one beginning, else all; many of
    one beginning as a pattern."""
    names = sorted(set(known))
    plain = wanted.lower().strip("*")
    near = get_close_matches(plain, names, n=3)
    if near:
        return f"did you mean {', '.join(near)}?"
    head = plain.partition("-")[0]
    begun = [name for name in names if head and name.startswith(head)] or names
    return f"there are {', '.join(begun if len(begun) <= FEW else _patterns(begun))}"


def _patterns(names: Sequence[str]) -> list[str]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.partition("-")[0], []).append(name)
    return [f"{head}-* ({len(group)})" if len(group) > 1 else group[0] for head, group in groups.items()]


def _family(name: str) -> str:
    """`inf1.` of `inf1.large`; `standard_nc6s_` of Azure's names, whose first part says nothing."""
    parts = _FAMILY.findall(name.lower())
    return "".join(parts[:2]) if parts and parts[0] == "standard_" else (parts[0] if len(parts) > 1 else name.lower())


def _alike(wanted: str, name: str) -> float:
    return round(SequenceMatcher(None, wanted, name.lower()).ratio(), 2)


def _worth(wanted: str, name: str) -> bool:
    """Cheap to tell, and true of all that are alike enough: comparing thousands of names well takes long."""
    return SequenceMatcher(None, wanted, name.lower()).real_quick_ratio() >= LIKE


def _size(name: str) -> tuple[int, str]:
    numbers = _NUMBER.findall(name.partition(".")[2] or name)
    return (int(numbers[0]) if numbers else 0, name)
