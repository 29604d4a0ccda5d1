"""`skylift prices estimate`: what an amount of a service costs, line by line, with formulas and sources."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from skylift.cli.output import json_option, print_json, print_table

if TYPE_CHECKING:
    from skylift.pricing.estimate.bills import MixedBill
    from skylift.pricing.estimate.lines import Estimate, Line


Command = TypeVar("Command", bound=Callable[..., Any])


def _word(name: str, metavar: str, help: str) -> Callable[[Command], Command]:
    return click.option(f"--{name}", name, metavar=metavar, help=help)


@click.command()
@_word("service", "NAME", "lambda, fargate, ec2, sagemaker, step-functions, s3, efs, ebs, transfer, cloud-run, …")
@_word("type", "NAME", "A machine type: m5.large, n1-standard-1, Standard_D4s_v3, ml.p3.2xlarge.")
@_word("cloud", "NAME", "aws, gcp, azure or lambda, where the type does not say it.")
@_word("region", "NAME", "us-east-1 unless given; us-central1, eastus for what other clouds sell.")
@_word("memory", "SIZE", "Of a function or container: 3GiB.")
@_word("vcpus", "N", "Of a container.")
@_word("duration", "TIME", "How long altogether, all requests together: 1h, 90s.")
@_word("each", "TIME", "How long each request takes: 338ms.")
@_word("hours", "N", "The same in hours: 730 is a month.")
@_word("requests", "N", "1000000, 1M, 10k.")
@_word("count", "N", "So many machines, containers or disks.")
@_word("data", "SIZE", "Stored or moved: 500GB, 10TB.")
@_word("months", "N", "How long data are stored; 1 unless given.")
@_word("class", "NAME", "Of storage: standard, infrequent, nearline, …; of a disk: gp3, ssd, …")
@_word("reads", "N", "Requests that read from storage.")
@_word("writes", "N", "Requests that write to it.")
@_word("transitions", "N", "State transitions.")
@_word("to", "WHERE", "Of transfer: internet, region, zone, …")
@_word("arch", "NAME", "x86 or arm.")
@_word("reserved", "TERM", "1yr-no-upfront, 3yr-all-upfront, …")
@click.option("--spot", is_flag=True, help="Prices of the spot market.")
@click.option("--free-tier", is_flag=True, help="Take off what a month's free tier covers.")
@click.option("--as-of", metavar="DATE", help="Prices and rules of a day (2020-11-30), not the newest.")
@click.option("--file", metavar="BILL.YAML", help="A mixed bill: a list of uses with these options as keys.")
@json_option
def estimate(file: str | None, as_of: str | None, free_tier: bool, as_json: bool, **options: Any) -> None:
    """What an amount of a service costs: exact, each line with its formula, its price, the price's date and source.

    A price that is not known is said, with the nearest that there is; it is never guessed.
    """
    from skylift.pricing.catalogue import catalogue
    from skylift.pricing.estimate import price

    given = {key: _raw(value) for key, value in options.items() if value not in (None, False)}
    bill = _bill(given, file, as_of, free_tier)
    found = price.estimate(bill.uses, catalogue(), as_of=bill.as_of, free_tier=bill.free_tier)
    if as_json:
        print_json(document(found))
    else:
        print_estimate(found)


def _raw(value: Any) -> str:
    return "true" if value is True else str(value)


def _bill(given: dict[str, str], file: str | None, as_of: str | None, free_tier: bool) -> MixedBill:
    """From the options or the file. Raises EstimateInvalid where they contradict each other."""
    import msgspec

    from skylift.pricing.catalogue import catalogue
    from skylift.pricing.dates import last_day
    from skylift.pricing.estimate.amounts import EstimateInvalid
    from skylift.pricing.estimate.bills import MixedBill, read_bill
    from skylift.pricing.estimate.rules import rules
    from skylift.pricing.estimate.uses import read_use

    day = None if as_of is None else last_day(as_of, "--as-of")
    if file is None:
        use = read_use(given, lambda key: f"--{key}", catalogue(), rules())
        return MixedBill(uses=(use,), as_of=day, free_tier=free_tier)
    if given:
        names = ", ".join(f"--{key}" for key in given)
        raise EstimateInvalid(f"--file and {names}: the file says what is used", hint=f"leave out {names}")
    if not file:
        raise EstimateInvalid("--file is empty", hint="name the file with the bill")
    bill = read_bill(Path(file), catalogue(), rules())
    if None not in (day, bill.as_of) and day != bill.as_of:
        raise EstimateInvalid(f"--as-of {as_of}: {file} says as_of {bill.as_of}", hint="leave out one of them")
    return msgspec.structs.replace(bill, as_of=day or bill.as_of, free_tier=free_tier or bill.free_tier)


def print_estimate(found: Estimate) -> None:
    from skylift.pricing.estimate.amounts import dollars

    rows = [(line.use, line.what, line.formula, dollars(line.usd)) for line in found.lines]
    print_table(("USE", "WHAT", "FORMULA", "COST"), [*rows, ("total", "", "", dollars(found.usd))], empty="")
    for source in dict.fromkeys(f"{_what(line)}: {line.source}" for line in found.lines):
        click.echo(f"price of {source}", err=True)
    for note in found.notes:
        click.echo(f"note: {note}", err=True)


def _what(line: Line) -> str:
    return f"{line.use} ({line.region}, {line.market})"


def document(found: Estimate) -> dict[str, Any]:
    """For programs: amounts as numbers, and exactly as texts."""
    from skylift.pricing.estimate.amounts import exactly

    return {
        "total_usd": float(found.usd),
        "total_usd_exact": exactly(found.usd),
        "lines": [_line_document(line) for line in found.lines],
        "notes": list(found.notes),
    }


def _line_document(line: Line) -> dict[str, Any]:
    from skylift.pricing.estimate.amounts import exactly

    return {
        "use": line.use,
        "what": line.what,
        "amount": float(line.amount),
        "unit": line.unit,
        "usd_per_unit": float(line.usd_per_unit),
        "usd": float(line.usd),
        "usd_exact": exactly(line.usd),
        "formula": line.formula,
        "region": line.region,
        "market": line.market,
        "as_of": line.as_of,
        "source": line.source,
        "estimate": line.estimate,
    }
