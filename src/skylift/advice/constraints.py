"""What advice hands to `plan`: a small JSON or TOML file, its reader, and the question whether an offer keeps to it.

    {"skylift_constraints": 1, "regions": ["eu-central-1", "eu-west-1"], "spot": false, "private_network": true,
     "own_machines_only": false, "without": ["managed-training"], "because": {"regions": ["…"]}}

`regions` are names or patterns (`eu-*`); null is any. `without` are service classes. All but the version may be left
out.
"""

from __future__ import annotations

import contextlib
import fnmatch
import json
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal

import msgspec

from skylift.advice.networks import can_be_private
from skylift.advice.places import laws
from skylift.advice.project import Project
from skylift.advice.reading import ProjectInvalid
from skylift.advice.refusals import in_words, taken_apart
from skylift.advice.rules import Constrain, Fired
from skylift.config.fields import meant
from skylift.errors import SetupError
from skylift.ports.compute import ServiceClass

_WRITES = "`skylift advise PROJECT --constraints FILE` writes one"
OWN: tuple[str, ...] = ("process",)
"""Service classes on machines of one's own."""


_MOST_BYTES = 1 << 20


class ConstraintsInvalid(SetupError):
    """A file of constraints cannot be read."""

    code = "CONSTRAINTS"


class Constraints(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a placement must keep to."""

    version: Literal[1] = msgspec.field(name="skylift_constraints")
    project: str | None = None
    """For people: whose advice it was."""
    regions: tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=100)], ...] | None = None
    spot: bool = True
    """Whether spot machines may be bought."""
    private_network: bool = False
    """Machines get no address on the internet. A plan buys nothing that cannot do without (`networks.toml`); to set it
    up is for whoever makes the account."""
    own_machines_only: bool = False
    """Nothing leaves the house."""
    without: tuple[ServiceClass, ...] = ()
    because: dict[str, tuple[str, ...]] = {}
    """Field → reasons."""

    def refuses(self, *, service: str, region: str, market: str, cloud: str = "aws", own: bool = False) -> str | None:
        """Why an offer does not keep to them, in words; None where it does. `own` says that it is a machine of one's
        own, whatever its service class."""
        if own or service in OWN:
            return None
        if self.own_machines_only:
            return f"only machines of your own may be used{self._why('own_machines_only')}"
        if service in self.without:
            return f"{service} may not be used{self._why('without')}"
        if self.private_network and not can_be_private(cloud, service):
            return f"{service} of {cloud} cannot run without an address on the internet{self._why('private_network')}"
        if market == "spot" and not self.spot:
            return f"spot machines may not be used{self._why('spot')}"
        if self.regions is not None and not any(fnmatch.fnmatchcase(region, one) for one in self.regions):
            return f"{cloud} {region} is not among the allowed regions{self._why('regions')}"
        return None

    def _why(self, field: str) -> str:
        return f": {self.because[field][0]}" if self.because.get(field) else ""


def read_file(path: Path) -> Constraints:
    """Raises ConstraintsInvalid with file, field and value, also for a file that cannot be read or has no end."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as problem:
        raise ConstraintsInvalid(f"{path}: {problem.strerror or problem}", hint=_WRITES) from None
    if len(data) > _MOST_BYTES:
        raise ConstraintsInvalid(f"{path}: is larger than {_MOST_BYTES >> 20} MiB", hint=_WRITES)
    return read(data.decode("utf-8", "replace"), str(path))


def read(text: str, name: str) -> Constraints:
    """From JSON, or TOML by the name of the file. Raises ConstraintsInvalid, which names file, field and value."""
    toml = PurePath(name).suffix == ".toml"
    if not text.strip():
        raise ConstraintsInvalid(f"{name}: is empty", hint=_WRITES)
    try:
        if not toml:
            _check_once(text, name)
        return (msgspec.toml.decode if toml else msgspec.json.decode)(text.encode(), type=Constraints)
    except msgspec.ValidationError as problem:
        said, path = taken_apart(str(problem))
        where = f"{name}: {path}" if path else name
        hint = meant(str(problem), Constraints) or _WRITES
        raise ConstraintsInvalid(f"{where}: no constraints: {in_words(said)}", hint=hint) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as problem:
        raise ConstraintsInvalid(
            f"{name}: neither JSON nor, as its name would have to say, TOML: {problem}", hint="name TOML files *.toml"
        ) from None


def _check_once(text: str, name: str) -> None:
    """Of a field that is there twice the last would count, and nobody would know; TOML refuses that by itself."""

    def pairs(held: list[tuple[str, Any]]) -> dict[str, Any]:
        for number, (key, _) in enumerate(held):
            if key in [other for other, _ in held[:number]]:
                raise ConstraintsInvalid(f"{name}: {key} stands there twice", hint="keep one of them")
        return dict(held)

    with contextlib.suppress(ValueError, RecursionError):  # the decoder says so, and better
        json.loads(text, object_pairs_hook=pairs)


def write(constraints: Constraints) -> str:
    """As JSON, which `read` takes."""
    return msgspec.json.format(msgspec.json.encode(constraints), indent=2).decode() + "\n"


def tighter(one: Constraints, other: Constraints) -> bool:
    """Whether `one` allows nothing that `other` refuses."""
    return (
        (other.regions is None or (one.regions is not None and set(one.regions) <= set(other.regions)))
        and (other.spot or not one.spot)
        and (one.private_network or not other.private_network)
        and (one.own_machines_only or not other.own_machines_only)
        and set(other.without) <= set(one.without)
    )


def of(project: Project, fired: Sequence[Fired], there: Sequence[str] = ()) -> Constraints:
    """All that the rules which hold ask for, together. `there` are regions to choose from, for the hint. Raises
    ProjectInvalid where no region is left."""
    asked = [(one, one.rule.constrain) for one in fired if one.rule.constrain is not None]
    because: dict[str, list[str]] = {}
    for one, constrain in asked:
        for field in _fields(constrain):
            because.setdefault(field, []).append(one.reason)
    bound = _laws(project, [constrain for _, constrain in asked])
    return Constraints(
        version=1,
        project=project.project,
        regions=_regions(project, bound, there),
        spot=all(constrain.spot for _, constrain in asked),
        private_network=any(constrain.private_network for _, constrain in asked),
        own_machines_only=any(constrain.own_machines_only for _, constrain in asked),
        without=msgspec.convert(sorted({one for _, each in asked for one in each.without}), tuple[ServiceClass, ...]),
        because={field: tuple(reasons) for field, reasons in because.items()},
    )


def _fields(constrain: Constrain) -> list[str]:
    given: dict[str, Any] = msgspec.structs.asdict(constrain)
    usual: dict[str, Any] = msgspec.structs.asdict(Constrain())
    return [field for field, value in given.items() if value != usual[field]]


def _laws(project: Project, asked: Sequence[Constrain]) -> list[str]:
    found: list[str] = []
    for one in asked:
        named = (project.data.residency or ()) if one.regions == "data.residency" else (one.regions,)
        found += [law for law in named if law is not None and law not in found and law in laws()]
    return found


def _regions(project: Project, bound: Sequence[str], there: Sequence[str]) -> tuple[str, ...] | None:
    if not bound:
        return None
    first, *others = (laws()[law] for law in bound)
    left = [region for region in first.regions if all(region in other.regions for other in others)]
    if not left:
        territories = " and ".join(laws()[law].title for law in bound)
        raise ProjectInvalid(
            f"data.residency and data.sensitivity want the data in {territories}, but no region is in both",
            hint="say which of them counts, or make two projects of it",
        )
    if project.region is not None and project.region not in left:
        raise ProjectInvalid(
            f"region is {project.region}, but the data must stay in {first.title} ({', '.join(bound)})",
            hint=f"choose one of {', '.join([one for one in left if one in there] or left)}",
        )
    return tuple(left)
