"""What is to be priced: the words that a person gave, checked against what the service needs, takes and has."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from fractions import Fraction

import msgspec

from skylift.pricing.catalogue import Catalogue
from skylift.pricing.estimate import amounts
from skylift.pricing.estimate.amounts import EstimateInvalid
from skylift.pricing.estimate.rules import Rules, Service
from skylift.pricing.missing import UnknownMachine
from skylift.pricing.names import regions_hint
from skylift.pricing.rows import CLOUDS

Naming = Callable[[str], str]
"""How a key is called where it was written: `--hours`, `bill.yaml:7: hours`."""

_READ: dict[str, Callable[[str, str], Fraction]] = {
    "memory": amounts.memory_mib,
    "vcpus": amounts.number,
    "duration": amounts.time_ms,
    "each": amounts.time_ms,
    "hours": amounts.hours,
    "requests": amounts.count,
    "count": amounts.machines,
    "data": amounts.data_gib,
    "months": amounts.months,
    "reads": amounts.count,
    "writes": amounts.count,
    "transitions": amounts.count,
}
_WORDS = ("name", "cloud", "service", "type", "region", "reserved", "class", "to", "arch")
_FLAGS = ("spot",)
KEYS = (*_WORDS, *_FLAGS, *_READ)
_YES = {"true": True, "yes": True, "false": False, "no": False}


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """One use of one service."""

    name: str
    service: Service
    region: str
    type: str | None = None
    market: str = "on-demand"
    term: str | None = None
    kind: str | None = None
    """What `class` said, else the service's ordinary one; in the catalogue's word."""
    to: str | None = None
    arch: str | None = None
    amounts: dict[str, Fraction] = {}
    notes: tuple[str, ...] = ()
    where: str = ""
    """Where it is written, to begin a message with: `bill.yaml:7: `."""

    def amount(self, key: str) -> Fraction | None:
        return self.amounts.get(key)


def read_use(
    given: Mapping[str, str], naming: Naming, catalogue: Catalogue, rules: Rules, region: str | None = None
) -> Use:
    """`region` is meant where the use names none and its cloud has it. Raises EstimateInvalid or
    UnknownMachine, which name the key."""
    _check_keys(given, naming)
    given = _spelt(_without_no(given, naming), catalogue)
    service = _service(given, naming, catalogue, rules)
    _check_taken(given, service, naming)
    found = {key: read(given[key], naming(key)) for key, read in _READ.items() if key in given}
    if region is not None and "region" not in given and region in catalogue.regions(service.cloud):
        given = {**given, "region": region}
    region, notes = _region(given, service, naming, catalogue, rules)
    market, term = _market(given, naming, rules)
    return Use(
        name=_printable(given.get("name", "")) or given.get("type") or service.name,
        service=service,
        region=region,
        type=given.get("type"),
        market=market,
        term=term,
        kind=_choice(given, "class", service.classes, service, naming),
        to=_choice(given, "to", service.to, service, naming),
        arch=_choice(given, "arch", service.arch, service, naming),
        amounts=found,
        notes=notes,
    )


def _without_no(given: Mapping[str, str], naming: Naming) -> Mapping[str, str]:
    """Who says that it is not spot says nothing."""
    if "spot" in given and not _yes(given["spot"], naming("spot")):
        return {key: text for key, text in given.items() if key != "spot"}
    return given


def _printable(name: str) -> str:
    """In one line of what a table and a terminal can show."""
    return " ".join("".join(one if one.isprintable() else " " for one in name).split())


def _spelt(given: Mapping[str, str], catalogue: Catalogue) -> Mapping[str, str]:
    """Clouds, regions and machines as their providers write them: `M5.LARGE` is m5.large, as for `prices find`."""
    spelt = dict(given)
    for key in ("cloud", "region"):
        if key in spelt:
            spelt[key] = spelt[key].strip().lower()
    if "type" in spelt and not any(catalogue.machine(spelt["type"], cloud) for cloud in CLOUDS):
        wanted = spelt["type"].strip().lower()
        found = (name for cloud in CLOUDS for name in catalogue.machines(cloud) if name.lower() == wanted)
        spelt["type"] = next(found, spelt["type"])
    return spelt


def _check_keys(given: Mapping[str, str], naming: Naming) -> None:
    for key in given:
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(KEYS)}"
            raise EstimateInvalid(f"{naming(key)}: there is no such key", hint=hint)
        if not given[key].strip():
            raise EstimateInvalid(f"{naming(key)} is empty", hint="say something, or leave it out")


def _service(given: Mapping[str, str], naming: Naming, catalogue: Catalogue, rules: Rules) -> Service:
    cloud = given.get("cloud")
    if cloud is not None and cloud not in CLOUDS:
        near = difflib.get_close_matches(cloud, CLOUDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(CLOUDS)}"
        raise EstimateInvalid(f"{naming('cloud')} {cloud!r}: there is no such cloud", hint=hint)
    if "service" in given:
        service = rules.service(given["service"], naming("service"))
        if cloud not in (None, service.cloud):
            raise EstimateInvalid(
                f"{naming('service')} {given['service']!r} is a service of {service.cloud}, and "
                f"{naming('cloud')} says {cloud}",
                hint=f"leave out {naming('cloud')}, or name a service of {cloud}",
            )
        if service.machines and "type" in given:
            _check_type(given["type"], service, naming, catalogue)
        return service
    if "type" not in given:
        raise EstimateInvalid(
            f"neither {naming('service')} nor {naming('type')} says what is used",
            hint="write for example service lambda, or type m5.large",
        )
    if given["type"].startswith("ml."):  # so Amazon calls the machines of SageMaker, and no others
        return rules.service("sagemaker", naming("type"))
    return rules.machines_of(cloud_of(given["type"], cloud, naming, catalogue))


def _check_type(type: str, service: Service, naming: Naming, catalogue: Catalogue) -> None:
    if not type.startswith(service.prefix) and catalogue.machine(service.prefix + type, service.cloud) is not None:
        raise UnknownMachine(
            f"{naming('type')} {type!r}: the machines of {service.name} have other names",
            hint=f"did you mean {service.prefix}{type}?",
        )
    cloud_of(type, service.cloud, naming, catalogue)


def cloud_of(type: str, cloud: str | None, naming: Naming, catalogue: Catalogue) -> str:
    """Where there is such a machine. Raises UnknownMachine with the nearest name there is."""
    having = [one for one in CLOUDS if catalogue.machine(type, one) is not None]
    if cloud in having:
        return str(cloud)
    if cloud is None and len(having) == 1:
        return having[0]
    if cloud is None and having:
        raise EstimateInvalid(
            f"{naming('type')} {type!r}: {' and '.join(having)} have such a machine", hint=f"say {naming('cloud')}"
        )
    near = catalogue.nearest_type(type, cloud)
    where = "" if cloud is None else f" of {cloud}"
    elsewhere = f"; {', '.join(having)} has one" if having else ""
    raise UnknownMachine(
        f"{naming('type')} {type!r}: there is no such machine type{where}{elsewhere}",
        hint=f"did you mean {near[0]}?" if near else "`skylift prices find` lists the types that there are",
    )


def _check_taken(given: Mapping[str, str], service: Service, naming: Naming) -> None:
    for key in given:
        if key not in service.takes:
            raise _not_taken(key, given[key], service, naming)
    for key in service.needs:
        if key not in given:
            raise EstimateInvalid(f"{service.name} needs {naming(key)}, which is not given")
    if service.one_of and not any(key in given for key in service.one_of):
        keys = " or ".join(naming(key) for key in service.one_of)
        raise EstimateInvalid(f"{service.name} needs {keys}: nothing says how much is used")
    lengths = [key for key in ("hours", "duration", "each") if key in given]
    if len(lengths) > 1:
        said = " and ".join(f"{naming(key)} {given[key]!r}" for key in lengths)
        raise EstimateInvalid(f"{said} both say how long", hint="give one of them")


_MARKETS = {"spot": "no spot prices", "reserved": "no prices of reservations"}


def _not_taken(key: str, text: str, service: Service, naming: Naming) -> EstimateInvalid:
    if key in _MARKETS:
        return EstimateInvalid(
            f"{naming(key)}: there are {_MARKETS[key]} of {service.title}",
            hint=f"leave out {naming(key)} for what it costs on demand",
        )
    takes = ", ".join(sorted(service.takes - {"name", "service", "cloud"}))
    return EstimateInvalid(
        f"{naming(key)} {text!r} says nothing of {service.name}", hint=f"{service.name} takes: {takes}"
    )


def _region(
    given: Mapping[str, str], service: Service, naming: Naming, catalogue: Catalogue, rules: Rules
) -> tuple[str, tuple[str, ...]]:
    if "region" not in given:
        region = rules.regions[service.cloud]
        return region, (f"prices of {region}, since no region is given for {service.cloud}",)
    region, known = given["region"], catalogue.regions(service.cloud)
    if region not in known:
        raise EstimateInvalid(
            f"{naming('region')} {region!r}: there is no price of {service.cloud} there",
            hint=regions_hint(region, known),
        )
    return region, ()


def _market(given: Mapping[str, str], naming: Naming, rules: Rules) -> tuple[str, str | None]:
    spot = "spot" in given and _yes(given["spot"], naming("spot"))
    term = given.get("reserved")
    if term is None:
        return ("spot" if spot else "on-demand"), None
    if spot:
        raise EstimateInvalid(
            f"{naming('spot')} and {naming('reserved')}: a machine is bought in one way", hint="give one of them"
        )
    known = [one.name for one in rules.terms]
    if term not in known:
        near = difflib.get_close_matches(term, known, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
        raise EstimateInvalid(f"{naming('reserved')} {term!r}: there is no such term", hint=hint)
    return "reserved", term


def _yes(text: str, key: str) -> bool:
    if text.lower() not in _YES:
        raise EstimateInvalid(f"{key} {text!r} is neither true nor false")
    return _YES[text.lower()]


def _choice(
    given: Mapping[str, str], key: str, choices: Mapping[str, str], service: Service, naming: Naming
) -> str | None:
    """What the catalogue calls it. The first one is the ordinary one."""
    if key not in given:
        return next(iter(choices.values()), None)
    wanted = given[key].strip().lower()
    if wanted not in choices:
        near = difflib.get_close_matches(wanted, choices, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(choices)}"
        raise EstimateInvalid(f"{naming(key)} {given[key]!r}: {service.name} has no such {key}", hint=hint)
    return choices[wanted]
