"""The answers about a project, all of them optional: None is a question that is still open, never a default.

The description of a field is the question that is asked for it; what can be answered is its type.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from skylift.advice.amounts import DataSize, Lasting, Memory, Money, Span, Speed

Purpose = Literal["training", "inference", "data", "development"]
Sensitivity = Literal["none", "personal", "hipaa", "pci", "secret", "export-controlled"]
Residency = Literal["none", "gdpr", "uk", "switzerland", "us", "canada", "australia", "india", "japan"]
Compliance = Literal["none", "hipaa-baa", "gdpr-dpa", "pci-dss", "soc2", "iso27001"]
Cloud = Literal["aws", "gcp", "azure", "lambda"]
Text: TypeAlias = Annotated[str, Meta(max_length=2000)]
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200)]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=10**13)]
"""Of requests a month: 4 million a second."""
Devices: TypeAlias = Annotated[int, Meta(ge=0, le=10**6)]
Machines: TypeAlias = Annotated[int, Meta(ge=1, le=10**6)]
Hours: TypeAlias = Annotated[float, Meta(ge=0, le=744)]
PerSecond: TypeAlias = Annotated[float, Meta(ge=0, le=10**8)]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A table of the file."""


class Organisation(Section, frozen=True, kw_only=True):
    """How the organisation stands to the cloud."""

    cloud: Annotated[
        Literal["encouraged", "allowed", "undecided", "forbidden"] | None,
        Meta(description="Does your organisation want work in a public cloud?"),
    ] = None
    skills: Annotated[
        Literal["none", "some", "strong"] | None,
        Meta(description="How well do those who will do the work know the cloud?"),
    ] = None
    operations: Annotated[
        Literal["team", "shared", "nobody"] | None,
        Meta(description="Who looks after machines of your own: a team, someone beside other work, nobody?"),
    ] = None


class Data(Section, frozen=True, kw_only=True):
    """What the work reads and writes."""

    size: Annotated[DataSize | None, Meta(description="How much data does the work need to have at hand?")] = None
    changes_per_month: Annotated[DataSize | None, Meta(description="How much of it is new each month?")] = None
    results_per_month: Annotated[
        DataSize | None, Meta(description="How much leaves again each month: results, downloads, answers?")
    ] = None
    sensitivity: Annotated[
        tuple[Sensitivity, ...] | None,
        Meta(description="What makes the data sensitive? Health data under HIPAA is `hipaa`, card data `pci`."),
    ] = None
    residency: Annotated[
        tuple[Residency, ...] | None, Meta(description="Does a law or contract say where the data must stay?")
    ] = None
    location: Annotated[
        Literal["on-premises", "laptop", "aws", "gcp", "azure", "elsewhere"] | None,
        Meta(description="Where does the data lie today?"),
    ] = None
    anonymised: Annotated[
        Literal["done", "possible", "impossible"] | None,
        Meta(description="Is what identifies people taken out of the data, or can it be?"),
    ] = None
    access: Annotated[
        Literal["team", "organisation", "partners", "public"] | None, Meta(description="Who must reach the data?")
    ] = None


class Security(Section, frozen=True, kw_only=True):
    """What must be kept to."""

    identity: Annotated[
        Literal["single-sign-on", "accounts", "shared-keys"] | None,
        Meta(description="How do people and programs prove who they are?"),
    ] = None
    compliance: Annotated[
        tuple[Compliance, ...] | None,
        Meta(description="Which arrangements with a provider are signed or certified today?"),
    ] = None
    cleared: Annotated[
        bool | None, Meta(description="Has the person responsible for the data cleared it for a public cloud?")
    ] = None
    scans: Annotated[bool | None, Meta(description="Must images and packages be scanned before they run?")] = None
    private_network: Annotated[
        bool | None, Meta(description="Must the work run without an address on the internet?")
    ] = None


class Budget(Section, frozen=True, kw_only=True):
    """What may be spent."""

    per_month: Annotated[Money | None, Meta(description="How much may it cost a month?")] = None
    upfront: Annotated[Money | None, Meta(description="How much can be spent at once, on machines?")] = None
    lasts: Annotated[Lasting | None, Meta(description="How long will the work go on?")] = None


class Hardware(Section, frozen=True, kw_only=True):
    """What the heavy part of the work runs on."""

    gpu: Annotated[
        Name | None, Meta(description="Which GPU does it need? `none`, or a model such as V100, A100, H100.")
    ] = None
    gpus: Annotated[Devices | None, Meta(description="How many GPUs at once?")] = None
    machine: Annotated[
        Name | None, Meta(description="Is there a rented machine type that would do, such as p3.8xlarge?")
    ] = None
    use: Annotated[
        Literal["steady", "bursts"] | None, Meta(description="Is it used steadily or in bursts, with days off between?")
    ] = None
    hours_per_month: Annotated[Hours | None, Meta(description="For how many hours a month is it busy, of 730?")] = None
    machines_at_once: Annotated[
        Machines | None, Meta(description="How many such machines would be busy at the same time?")
    ] = None
    longest_step: Annotated[
        Lasting | None, Meta(description="How long does the longest single piece of work take?")
    ] = None
    checkpoints: Annotated[
        bool | None, Meta(description="Can the long work go on where it was interrupted (checkpoints)?")
    ] = None
    owned: Annotated[
        Literal["enough", "some", "none"] | None, Meta(description="Do you own machines that would do?")
    ] = None
    price: Annotated[Money | None, Meta(description="What would it cost to buy the machines that are needed?")] = None
    running_per_month: Annotated[
        Money | None, Meta(description="What would it cost a month to run: power, room, hands?")
    ] = None
    lifetime: Annotated[Lasting | None, Meta(description="For how long would a bought machine be used?")] = None
    lead_time: Annotated[Span | None, Meta(description="How long from ordering a machine until it works?")] = None
    needed_in: Annotated[Span | None, Meta(description="How soon must the work begin?")] = None


class Networking(Section, frozen=True, kw_only=True):
    """Lines to the cloud, and who may come in."""

    speed: Annotated[Speed | None, Meta(description="How fast is your line to the internet, outwards?")] = None
    direct_connection: Annotated[
        bool | None, Meta(description="Is there a line of your own to the provider (Direct Connect, ExpressRoute)?")
    ] = None
    exposure: Annotated[
        Literal["public", "partners", "internal"] | None, Meta(description="Who can reach what you serve?")
    ] = None


class Services(Section, frozen=True, kw_only=True):
    """What is taken from a provider beside machines."""

    time_saved: Annotated[
        Literal["much", "some", "none"] | None, Meta(description="How much time would a provider's services save you?")
    ] = None
    lock_in: Annotated[
        Literal["accepted", "way-out", "refused"] | None,
        Meta(description="May the work depend on one provider: accepted, with a way out, refused?"),
    ] = None


class Reliability(Section, frozen=True, kw_only=True):
    """What happens when it stands still."""

    importance: Annotated[
        Literal["low", "medium", "high"] | None, Meta(description="How bad is it if the work stands still?")
    ] = None
    recovery_time: Annotated[Span | None, Meta(description="How soon must it work again after a failure?")] = None
    support: Annotated[
        Literal["provider", "team", "nobody"] | None, Meta(description="Who gets up when it fails at night?")
    ] = None


class Requests(Section, frozen=True, kw_only=True):
    """What is asked of a served model."""

    per_month: Annotated[Count | None, Meta(description="How many requests a month? 0 where nothing is served.")] = None
    peak_per_second: Annotated[PerSecond | None, Meta(description="How many in the busiest second?")] = None
    latency: Annotated[Lasting | None, Meta(description="Within which time must an answer come?")] = None
    size: Annotated[DataSize | None, Meta(description="How large is one request?")] = None
    duration: Annotated[Lasting | None, Meta(description="How long does a function compute for one answer?")] = None
    memory: Annotated[Memory | None, Meta(description="How much memory does such a function need?")] = None
    instance: Annotated[
        Name | None, Meta(description="Which rented machine would serve it instead, such as c5a.large?")
    ] = None
    instance_duration: Annotated[
        Lasting | None, Meta(description="How long does that machine compute for one answer?")
    ] = None


class Project(Section, frozen=True, kw_only=True):
    """All that is known of a project."""

    project: Annotated[Name, Meta(description="What is the project called?")]
    description: Annotated[Text | None, Meta(description="In a sentence: what is it?")] = None
    purpose: Annotated[
        tuple[Purpose, ...] | None, Meta(description="What is it: training, inference, data, development?")
    ] = None
    cloud: Annotated[Cloud | None, Meta(description="Which provider's prices should be looked up?")] = None
    region: Annotated[Name | None, Meta(description="In which region?")] = None
    organisation: Organisation = Organisation()
    data: Data = Data()
    security: Security = Security()
    budget: Budget = Budget()
    hardware: Hardware = Hardware()
    networking: Networking = Networking()
    services: Services = Services()
    reliability: Reliability = Reliability()
    requests: Requests = Requests()
    skipped: tuple[str, ...] = ()
    """Questions that were left open on purpose, by their paths (`data.size`)."""


SECTIONS = (
    "organisation",
    "data",
    "security",
    "budget",
    "hardware",
    "networking",
    "services",
    "reliability",
    "requests",
)


def answers(project: Project) -> dict[str, object]:
    """Path → what was answered, such as `data.size`."""
    top = {"project": project.project, "description": project.description, "purpose": project.purpose}
    found: dict[str, object] = {**top, "cloud": project.cloud, "region": project.region}
    for name in SECTIONS:
        section = getattr(project, name)
        found |= {f"{name}.{field}": getattr(section, field) for field in section.__struct_fields__}
    return {path: answer for path, answer in found.items() if answer is not None}
