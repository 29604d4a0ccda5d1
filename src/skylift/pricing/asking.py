"""What a person asks of the catalogue, checked: from words of a command line to a query."""

from __future__ import annotations

import re
from typing import get_args

import msgspec

from skylift.errors import SetupError
from skylift.pricing.dates import last_day
from skylift.pricing.find import Query, Sort
from skylift.pricing.rows import CLOUDS
from skylift.units import parse_memory_mib

_GPU = re.compile(r"[1-9]\d*|[A-Za-z][\w. -]*(:[1-9]\d*)?")


class QueryInvalid(SetupError):
    """A need that cannot be understood, or needs that contradict each other."""

    code = "QUERY"


def query_of(
    *,
    type: str | None = None,
    gpu: str | None = None,
    vcpus: str | None = None,
    memory: str | None = None,
    region: str | None = None,
    cloud: str | None = None,
    spot: bool = False,
    estimates: bool = False,
    as_of: str | None = None,
    sort: str = "price",
) -> Query:
    """Raises QueryInvalid, DateInvalid or InvalidAmount."""
    if cloud is not None and cloud not in CLOUDS:
        raise QueryInvalid(f"there is no cloud {cloud!r}", hint=f"there are {', '.join(CLOUDS)}")
    if gpu is not None and _GPU.fullmatch(gpu) is None:
        raise QueryInvalid(f"--gpu {gpu!r} is neither a model nor a number", hint="write V100, V100:4 or 1")
    if sort not in get_args(Sort):
        raise QueryInvalid(f"--sort {sort!r} is no order", hint=f"there are {', '.join(get_args(Sort))}")
    if estimates and not spot:
        raise QueryInvalid("--estimates is about spot prices, and --spot is not given", hint="add --spot")
    if spot and cloud == "lambda":
        raise QueryInvalid("the GPU cloud Lambda has no spot market", hint="leave --spot away, or name another cloud")
    for name, text in (("--type", type), ("--region", region)):
        if text is not None and not text.strip():
            raise QueryInvalid(f"{name} is empty", hint=f"leave {name} away to see all")
    if region is not None and not all(one.strip() for one in region.split(",")):
        raise QueryInvalid(f"--region {region!r} has an empty name in it", hint="write for example us-east-1,eu-*")
    return Query(
        type=type,
        gpu=gpu,
        vcpus=_number(vcpus),
        memory_mib=None if memory is None else _memory_mib(memory),
        region=region,
        cloud=cloud,
        spot=spot,
        estimates=estimates,
        as_of=None if as_of is None else last_day(as_of, "--as-of"),
        services=("batch",) if type is None else ("batch", "managed-training"),
        sort=msgspec.convert(sort, type=Sort),
    )


def _memory_mib(text: str) -> int:
    """A number alone would be MiB, and who writes 16 means GiB: every machine would be found."""
    if text.strip().replace(".", "", 1).isdecimal():
        raise QueryInvalid(f"--memory {text!r} has no unit", hint=f"write {text.strip()}GiB, or {text.strip()}MiB")
    return parse_memory_mib(text, "--memory")


def _number(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 < number < float("inf"):
        raise QueryInvalid(f"--vcpus {text!r} is no number of processors", hint="write a number above 0, such as 8")
    return number
