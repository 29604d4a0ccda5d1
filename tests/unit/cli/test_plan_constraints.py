"""`skylift plan --constraints`: what advice demands narrows what is asked for, and contradictions name both sides."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from skylift.advice.constraints import Constraints, ConstraintsInvalid, write
from skylift.advice.narrowing import SERVICES, Asked, narrow, notes
from skylift.advice.networks import network
from skylift.cli.main import run_cli
from skylift.pricing.catalogue import catalogue

EXAMPLES = Path(__file__).parents[3] / "examples" / "advice"
PIPELINE = """
from skylift import pipeline, task

@task(work="10m", memory="2 GiB", spot=True)
def crunch(n: int) -> int:
    return n * 2

@pipeline
def job(n: int = 2) -> int:
    return crunch(n)
"""
BOUND = Constraints(
    version=1,
    regions=("eu-*",),
    spot=False,
    without=("function",),
    private_network=True,
    because={"spot": ("it must not be taken away",), "regions": ("the law wants it",)},
)
OWN = Constraints(version=1, own_machines_only=True)


@pytest.fixture(autouse=True)
def _pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("job.py").write_text(PIPELINE, encoding="utf-8")


def test_nothing_is_narrowed_where_nothing_is_demanded() -> None:
    asked = Asked(regions=("us-*",), markets=("spot",), backends=("simulated",))
    assert narrow(Constraints(version=1), asked, catalogue()) == asked
    assert notes(Constraints(version=1)) == []


def test_what_is_left_is_what_is_asked_for_and_allowed() -> None:
    free = narrow(BOUND, Asked(), catalogue())
    assert set(free.regions) == {region for region in catalogue().regions("aws") if region.startswith("eu-")}
    assert free.markets == ("on-demand",)
    assert free.services == ("container", "batch", "managed-training")
    some = narrow(BOUND, Asked(regions=("us-*,eu-west-*",), services=("function,batch",)), catalogue())
    assert set(some.regions) == {"eu-west-1", "eu-west-2", "eu-west-3"}
    assert some.services == ("batch",)
    assert narrow(BOUND, Asked(regions=("eu-wst-1",)), catalogue()).regions == ("eu-wst-1",)
    assert free.clouds == ()  # the usual one has private networks for all that is asked for
    assert narrow(OWN, Asked(), catalogue()).backends == ("process",)
    assert narrow(OWN, Asked(backends=("ray",)), catalogue()).backends == ("ray",)


PRIVATE = Constraints(version=1, private_network=True, because={"private_network": ("health data",)})


def test_a_private_network_is_kept_to_where_it_can_be_and_told_where_not() -> None:
    both = narrow(PRIVATE, Asked(clouds=("aws,lambda",)), catalogue())
    assert (both.clouds, both.services) == (("aws",), ())
    azure = narrow(PRIVATE, Asked(clouds=("azure",), services=("function,batch",)), catalogue())
    assert (azure.clouds, azure.services) == (("azure",), ("batch",))
    assert narrow(PRIVATE, Asked(clouds=("gcp",)), catalogue()).services == ("function", "container", "batch")
    assert PRIVATE.refuses(service="batch", region="us-east-1", market="on-demand", cloud="lambda") == (
        "batch of lambda cannot run without an address on the internet: health data"
    )
    assert PRIVATE.refuses(service="function", region="eastus", market="on-demand", cloud="azure") is not None
    assert PRIVATE.refuses(service="batch", region="us-east-1", market="on-demand") is None
    assert PRIVATE.refuses(service="batch", region="cellar", market="on-demand", own=True) is None


def test_what_has_to_be_set_for_a_private_network_is_said() -> None:
    [first] = notes(PRIVATE)
    assert first.startswith("machines may have no address on the internet: health data; a plan leaves out")
    said = notes(PRIVATE, Asked(clouds=("gcp",), services=("batch",)))
    assert len(said) == 2 and said[1].startswith("gcp batch: noExternalIpAddress")
    assert len(notes(PRIVATE, Asked())) == 5  # four classes of aws
    assert notes(Constraints(version=1, private_network=True, own_machines_only=True)) == []


def test_of_each_class_with_a_price_it_is_known_whether_it_can_be_private() -> None:
    for cloud in catalogue().clouds:
        for service in catalogue().rules_of(cloud):
            if service in SERVICES:
                found = network(cloud, service)
                assert found is not None and bool(found.how) != bool(found.none) and found.source, (cloud, service)


@pytest.mark.parametrize(
    ("bound", "asked", "says", "hint"),
    [
        (PRIVATE, Asked(clouds=("lambda",)), "--clouds lambda: nothing there can run without an address", "aws, gcp"),
        (PRIVATE, Asked(clouds=("lambda",)), "internet: health data (a machine is launched without", "azure"),
        (PRIVATE, Asked(clouds=("azure",), services=("function",)), "the consumption plan has neither", "aws, gcp"),
        (BOUND, Asked(regions=("us-*",)), "--regions us-*: none of these regions is allowed: the law", "eu-west-1"),
        (BOUND, Asked(clouds=("gcp",)), "--clouds gcp: none of these regions is allowed", "eu-*"),
        (BOUND, Asked(markets=("spot",)), "--markets spot: not allowed: it must not be taken away", "on-demand"),
        (BOUND, Asked(services=("function",)), "--services function: not allowed", "container"),
        (Constraints(version=1, regions=()), Asked(), "--clouds aws: none of these regions", "leave nothing at all"),
        (
            Constraints(version=1, without=("function", "container", "batch", "managed-training")),
            Asked(),
            "not allowed",
            "leave nothing at all",
        ),
        (OWN, Asked(backends=("process,simulated",)), "--on simulated buys in a cloud", "--on process"),
    ],
)
def test_what_leaves_nothing_is_refused_with_both_named(bound: Constraints, asked: Asked, says: str, hint: str) -> None:
    with pytest.raises(ConstraintsInvalid) as refused:
        narrow(bound, asked, catalogue())
    assert says in refused.value.message
    assert hint in str(refused.value.hint)


def test_a_plan_keeps_to_what_was_advised(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["advise", str(EXAMPLES / "residency.yaml"), "--constraints", "bound.json"]) == 0
    capsys.readouterr()
    assert run_cli(["plan", "job.py", "--constraints", "bound.json", "--out", "plan.json", "--json"]) == 0
    told = capsys.readouterr()
    assert "machines may have no address on the internet: the work may have no address" in told.err
    offers = json.dumps(json.loads(told.out)["steps"])
    assert "eu-" in offers
    assert "us-east-1" not in offers
    assert run_cli(["plan", "job.py", "--constraints", "bound.json", "--regions", "us-east-1"]) == 2
    assert "the data must stay where its law wants it (gdpr)" in capsys.readouterr().err


def test_data_that_may_not_leave_is_planned_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["advise", str(EXAMPLES / "imaging.yaml"), "--constraints", "bound.json"]) == 0
    assert run_cli(["plan", "job.py", "--constraints", "bound.json"]) == 0
    assert "this-machine (process)" in capsys.readouterr().out
    assert run_cli(["plan", "job.py", "--constraints", "bound.json", "--on", "simulated"]) == 2
    assert "only machines of your own may be used" in capsys.readouterr().err


def test_constraints_that_are_none_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["plan", "job.py", "--constraints", "job.py"]) == 2
    assert "error[CONSTRAINTS]: job.py" in capsys.readouterr().err
    assert run_cli(["plan", "job.py", "--constraints", "missing.json"]) == 2
    assert "missing.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "words"),
    [("nowhere.json", "No such file"), (".", "directory"), ("/dev/zero", "is larger than 1 MiB")],
)
def test_a_file_that_cannot_be_read_or_has_no_end_is_named(
    name: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(["plan", "job.py", "--constraints", name]) != 0
    said = capsys.readouterr().err
    assert words in said and name in said


def test_what_is_left_to_set_up_is_told_of_the_clouds_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    Path("bound.json").write_text(write(BOUND), encoding="utf-8")
    run_cli(["plan", "job.py", "--constraints", "bound.json", "--services", "batch"])
    said = capsys.readouterr().err
    assert "to be seen to: machines may have no address" in said and "to be seen to: aws batch:" in said
