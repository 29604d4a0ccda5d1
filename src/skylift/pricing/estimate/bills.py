"""A mixed bill from a YAML file: a list of uses, each with the keys that the command has as options. A bare list will
do where nothing is said of all of them.

    region: us-east-1
    uses:
      - {name: predictions, service: lambda, memory: 3 GiB, each: 338ms, requests: 3M}
      - {name: training, type: p3.2xlarge, spot: true, hours: 40}

Only texts are taken from it: nothing is constructed, and a number keeps the digits that it is written with.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from skylift.errors import SetupError
from skylift.pricing.catalogue import Catalogue
from skylift.pricing.dates import last_day
from skylift.pricing.estimate.amounts import EstimateInvalid
from skylift.pricing.estimate.rules import Rules
from skylift.pricing.estimate.uses import Use, read_use
from skylift.pricing.missing import NoPrice, UnknownMachine

LARGEST = 1_000_000
"""Bytes of a file that is read."""
MOST_USES = 20_000
"""More do not fit into such a file, unless one stands for all by an alias."""
_TOP = ("region", "as_of", "free_tier", "uses")
_FLAT = "a bill is a list of uses, each of them keys and values in one line or one below the other"


class MixedBill(msgspec.Struct, frozen=True, kw_only=True):
    uses: tuple[Use, ...]
    as_of: str | None = None
    free_tier: bool = False


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A key of a mapping, its line, and what stands behind it."""

    key: str
    line: int
    node: Any


def read_bill(path: Path, catalogue: Catalogue, rules: Rules) -> MixedBill:
    """Raises EstimateInvalid, which names file, line and key."""
    root = _compose(path)
    if root is None:
        raise EstimateInvalid(f"{path} is empty", hint="write a list of `uses`")
    if root.id == "sequence":  # uses, and nothing that is said of all of them
        top = {"uses": Entry(key="uses", line=root.start_mark.line + 1, node=root)}
    else:
        top = {entry.key: entry for entry in _entries(root, path)}
    for entry in top.values():
        _known(entry, path)
    if "uses" not in top:
        raise EstimateInvalid(f"{path}: there is no key `uses`", hint="write what is used as a list below `uses:`")
    region = _text(top["region"], path).strip().lower() if "region" in top else None
    _check_region(top.get("region"), region, path, catalogue)
    nodes = _items(top["uses"], path)
    if len(nodes) > MOST_USES:
        said = f"{_place(path, top['uses'])}: {len(nodes):,} uses are more than a bill has: at most {MOST_USES:,}"
        raise EstimateInvalid(said, hint="say with `count` or `requests` how often something is used")
    uses = [_use(node, path, catalogue, rules, region) for node in nodes]
    if not uses:
        raise EstimateInvalid(f"{path}:{top['uses'].line}: uses: the list is empty")
    return MixedBill(
        uses=tuple(uses),
        as_of=last_day(_text(top["as_of"], path), _place(path, top["as_of"])) if "as_of" in top else None,
        free_tier="free_tier" in top and _flag(top["free_tier"], path),
    )


def _use(node: Any, path: Path, catalogue: Catalogue, rules: Rules, region: str | None) -> Use:
    entries = {entry.key: entry for entry in _entries(node, path)}
    line = node.start_mark.line + 1

    def naming(key: str) -> str:
        return _place(path, entries[key]) if key in entries else key

    given = {key: _text(entry, path) for key, entry in entries.items()}
    try:
        use = read_use(given, naming, catalogue, rules, region)
    except (EstimateInvalid, UnknownMachine, NoPrice) as error:
        if error.message.startswith(f"{path}:"):
            raise
        raise type(error)(f"{path}:{line}: {error.message}", hint=error.hint) from error
    return msgspec.structs.replace(use, where=f"{path}:{line}: ")


def _compose(path: Path) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise SetupError(
            "bills are YAML, and pyyaml is not installed", hint="pip install 'skylift[plan]'", code="NO-YAML"
        ) from error
    with path.open("rb") as file:
        raw = file.read(LARGEST + 1)  # of /dev/zero there is always more
    if len(raw) > LARGEST:
        raise EstimateInvalid(f"{path} is too large: a bill has at most {LARGEST:,} bytes", hint="make several of it")
    try:
        return yaml.compose(raw, Loader=yaml.SafeLoader)
    except RecursionError as error:
        raise EstimateInvalid(f"{path}: this is no YAML of a bill: it is nested too deeply", hint=_FLAT) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark is not None else str(path)
        said = getattr(error, "problem", None) or str(error).splitlines()[0]
        hint = "save it as UTF-8" if isinstance(error, (yaml.reader.ReaderError, UnicodeDecodeError)) else None
        raise EstimateInvalid(f"{where}: this is no YAML: {said}", hint=hint) from error


def _entries(node: Any, path: Path) -> Iterator[Entry]:
    line = node.start_mark.line + 1
    if node.id != "mapping":
        raise EstimateInvalid(
            f"{path}:{line}: here should be keys and values, not a {_kind(node)}",
            hint="write for example - {type: m5.large, hours: 730}",
        )
    seen: set[str] = set()
    for name, value in node.value:
        entry = Entry(key=str(name.value), line=name.start_mark.line + 1, node=value)
        if name.id != "scalar":
            raise EstimateInvalid(f"{path}:{entry.line}: a key is a word, not a {_kind(name)}")
        if entry.key in seen:
            raise EstimateInvalid(f"{path}:{entry.line}: {entry.key}: the key is there twice", hint="keep one of them")
        if entry.key == "<<":
            raise EstimateInvalid(f"{path}:{entry.line}: keys are not merged from elsewhere", hint="write them out")
        seen.add(entry.key)
        yield entry


def _items(entry: Entry, path: Path) -> list[Any]:
    if entry.node.id != "sequence":
        raise EstimateInvalid(f"{_place(path, entry)}: here should be a list, not a {_kind(entry.node)}")
    return list(entry.node.value)


def _text(entry: Entry, path: Path) -> str:
    if entry.node.id != "scalar" or not entry.node.value:
        found = "nothing" if entry.node.id == "scalar" else f"a {_kind(entry.node)}"
        raise EstimateInvalid(f"{_place(path, entry)}: here should be one value, not {found}")
    return str(entry.node.value)


def _flag(entry: Entry, path: Path) -> bool:
    text = _text(entry, path).lower()
    if text not in ("true", "yes", "false", "no"):
        raise EstimateInvalid(f"{_place(path, entry)} {text!r} is neither true nor false")
    return text in ("true", "yes")


def _known(entry: Entry, path: Path) -> None:
    if entry.key not in _TOP:
        near = difflib.get_close_matches(entry.key, _TOP, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(_TOP)}"
        raise EstimateInvalid(f"{_place(path, entry)}: there is no such key", hint=hint)


def _check_region(entry: Entry | None, region: str | None, path: Path, catalogue: Catalogue) -> None:
    known = {one for cloud in catalogue.clouds for one in catalogue.regions(cloud)}
    if entry is not None and region not in known:
        near = difflib.get_close_matches(str(region), sorted(known), n=1)
        hint = f"did you mean {near[0]}?" if near else "leave it out for the ordinary region of each cloud"
        raise EstimateInvalid(f"{_place(path, entry)} {region!r}: no cloud has prices there", hint=hint)


def _place(path: Path, entry: Entry) -> str:
    return f"{path}:{entry.line}: {entry.key}"


def _kind(node: Any) -> str:
    return {"mapping": "mapping", "sequence": "list", "scalar": "value"}[node.id]
