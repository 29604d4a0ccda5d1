"""Files of answers: what is read, and how every refusal says line, value and mend."""

from __future__ import annotations

import re
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from skylift.advice.amounts import AMOUNTS, Amount, DataSize, Memory, Money, Span, Speed
from skylift.advice.constraints import Constraints, ConstraintsInvalid, read, tighter, write
from skylift.advice.project import answers
from skylift.advice.questions import concerns, get, next_open, put, question, questions, skip, typed
from skylift.advice.reading import ProjectInvalid, parsed, read_project
from skylift.errors import SetupError

EXAMPLES = sorted((Path(__file__).parents[3] / "examples" / "advice").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_read(path: Path) -> None:
    project = read_project(path.read_text(encoding="utf-8"), path.name)
    assert project.project
    assert len(answers(project)) > 10


def test_answers_keep_what_was_written() -> None:
    project = read_project("project: x\ndata: {size: 1.5 TiB}\nbudget: {upfront: '$12,000'}\n", "x.yaml")
    found = answers(project)
    assert str(found["data.size"]) == "1.5 TiB"
    assert found["budget.upfront"] == Money.parse(12000)
    assert set(found) == {"project", "data.size", "budget.upfront"}


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("project: a\ndata:\n  sise: 3", "x.yaml, line 3: there is no question data.sise", "did you mean size?"),
        ("project: a\nhardwar: {}", "x.yaml, line 2: there is no question hardwar", "did you mean hardware?"),
        ("project: a\ndata:\n  size: -3 GB", "line 3: data.size is '-3 GB': '-3 GB' is less than nothing", "2 TB"),
        ("project: a\ndata:\n  size: 3 parsec", "line 3: data.size is '3 parsec'", "2 TB"),
        ("project: a\ndata:\n  size: yes", "line 3: data.size is true: true is no size", "2 TB"),
        (
            "project: a\ndata:\n  size: [1 GB, null]",
            "line 3: data.size is [1 GB, null]: [1 GB, null] is no size",
            "2 TB",
        ),
        ("project: a\ndata:\n  size: {a: yes}", "line 3: data.size is {a: true}: {a: true} is no size", "2 TB"),
        ("project: a\ndata:\n  size: !!binary aGVsbG8=", "data.size is binary data: binary data is no size", "2 TB"),
        ("project: a\ndata: !!set {a, b}", "data is a set of 2: it must be a table", None),
        ("project: a\ndata: {size: 1001 PB}", "is more than the 1,000 PB that any project has", "2 TB"),
        ("project: a\nnetworking: {speed: 0 Mbit/s}", "'0 Mbit/s' is nothing: write for example", "1 Gbit/s"),
        ("project: a\nnetworking: {speed: 101 Tbit/s}", "is more than the 100 Tbit/s", "1 Gbit/s"),
        ("project: a\nrequests: {latency: 0 s}", "requests.latency is '0 s': '0 s' is nothing", "200 ms"),
        ("project: a\nrequests: {memory: 0 GiB}", "'0 GiB' is nothing", "512 MiB"),
        ("project: a\nrequests: {memory: 1025 TiB}", "is more than the 1,024 TiB", "512 MiB"),
        ("project: a\nrequests: {duration: 101 years}", "is more than the 100 years", "200 ms"),
        ("project: a\nbudget: {per_month: 9999999999999}", "is more than the 1,000,000,000,000 USD", "500 USD"),
        (
            "project: a\nrequests: {per_month: 10000000000001}",
            "it must be a whole number of at most 10,000,000",
            "whole",
        ),
        ("project: a\nhardware: {gpus: 1000001}", "it must be a whole number of at most 1,000,000", "whole number"),
        ("project: a\nrequests: {per_month: 1e9}", "requests.per_month is '1e9'", "without quotes, commas or an e"),
        ("project: a\nrequests: {per_month: 3M}", "requests.per_month is '3M'", "the whole number in digits: 3000000"),
        ("project: a\nrequests: {per_month: 2.5 million}", "not text", "the whole number in digits: 2500000"),
        ("project: a\nrequests: {per_month: '500,000'}", "it must be a whole number, not text", "without quotes"),
        ("project: a\nhardware: {hours_per_month: .inf}", "is .inf: it must be at most 744", "number"),
        ("project: null", "project is nothing: it must be text", "text"),
        ("project: [a, true]", "project is [a, true]: it must be text, not a list", "text"),
        ("project: true", "project is true: it must be text", 'write it in quotes: "true"'),
        ("project: a\npurpose: [training, null]", "purpose[1] is [training, null]: it must be text", "training"),
        ("project: a\ncloud: AWS", "cloud is 'AWS': not one of the answers there are", "did you mean aws?"),
        ("true", "x.yaml: holds true, no answers", "begin with"),
        ("project: a\ndata: {<<: {size: 1 GB}}", "line 2: '<<' is no name", "write them out"),
        ("project: a\ndata: {sensitivity: [hippa]}", "line 2: data.sensitivity", "did you mean hipaa?"),
        ("project: a\ndata: {sensitivity: hipaa}", "it must be a list, not text", "some of none, personal"),
        ("project: a\norganisation: {cloud: forbiden}", "organisation.cloud is 'forbiden'", "did you mean forbidden?"),
        ("project: a\n\nproject: b", "line 3: 'project' stands there for the second time, first in line 1", "keep one"),
        ("project: a\ndata: {size: 1 GB, size: 2 GB}", "'size' stands there for the second time", "keep one"),
        ("project: a\nhardware: {gpus: -3}", "hardware.gpus is -3: it must be a whole number of at least 0", "whole"),
        ("project: a\nhardware: {machines_at_once: 0}", "it must be a whole number of at least 1", "whole"),
        ("project: a\nskipped: [data.sise]", "line 2: skipped holds 'data.sise'", "did you mean data.size?"),
        ("project: a\nhardware: {hours_per_month: .nan}", "it must be at least 0", "number"),
        ("project: a\ndata: {size: 1e999999999 GB}", "is no size of data", "2 TB"),
        ("project: a\nhardware: {gpus: 1.5}", "hardware.gpus is 1.5", "whole number"),
        ("project: a\nhardware: {hours_per_month: -1}", "it must be at least 0", "number"),
        ("project: a\nhardware: {hours_per_month: 900}", "it must be at most 744", "number"),
        ("project: a\nrequests: {per_month: 3 M}", "requests.per_month is '3 M'", "whole number"),
        ("project: a\nsecurity: {cleared: 3}", "security.cleared is 3: it must be yes or no", "yes or no"),
        ("project: a\ndata: 3", "line 2: data is 3: it must be a table", None),
        ("project: ''", "project is '': it must not be empty", "text"),
        (f"project: {'a' * 201}", "it must have at most 200 characters", "text"),
        ("project: 2", "project is 2: it must be text", 'write it in quotes: "2"'),
        ("data: {}", "x.yaml: `project` is missing", "begin with"),
        ("", "x.yaml: `project` is missing", "begin with"),
        ("[1, 2]", "x.yaml: holds [1, 2], no answers", "begin with"),
        ("a: &x 1\nb: *x", "line 2: *x points elsewhere", "write the answer out"),
        ("project: !!python/object/apply:os.system [ls]", "line 1: the tag", "leave it out"),
        ("project: !mine a", "line 1: the tag !mine", "leave it out"),
        ("project: a\n  b: c", "line 2: not valid YAML", None),
        ("project: [a", "not valid YAML", None),
        ("? [a]\n: b", "line 1: a sequence is no name", None),
        ("project: a\nbudget: {upfront: $12,000}", "line 2: '000' is no name", None),
        ("project: a\n<<: {data: {}}", "line 2: '<<' is no name", None),
        ("project: \x00", "not valid YAML", None),
        ("a: " + "[" * 10 + "]" * 10, "nested too deeply", None),
        ("a: " + "{b: " * 10 + "1" + "}" * 10, "nested too deeply", None),
        ("a: " + "[" * 50_000, "x.yaml", None),
        ("#" * 200_001, "200,001 characters", None),
    ],
)
def test_what_cannot_be_read_says_where_and_what_was_meant(text: str, says: str, hint: str | None) -> None:
    with pytest.raises(ProjectInvalid) as refused:
        read_project(text, "x.yaml")
    assert says in refused.value.message
    assert len(refused.value.message) < 400
    assert not re.search(r"\b(None|True|False|int|float|(?<!\.)nan|NoneType)\b|\b[bu]'|Expected", refused.value.message)
    assert refused.value.code == "PROJECT"
    assert hint is None or hint in str(refused.value.hint)


def test_without_pyyaml_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(SetupError) as refused:
        read_project("project: x", "x.yaml")
    assert refused.value.hint == "pip install 'skylift[plan]'"


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (DataSize, "2 TB", Fraction(2000)),
        (DataSize, "1 TiB", Fraction(2**40, 10**9)),
        (DataSize, "20KB", Fraction(20, 10**6)),
        (DataSize, "1,500 GB", Fraction(1500)),
        (DataSize, "7 bytes", Fraction(7, 10**9)),
        (Span, "338 ms", Fraction("0.338")),
        (Span, "6 weeks", Fraction(6 * 604_800)),
        (Span, "1 month", Fraction(730 * 3600)),
        (Span, "3 Years", Fraction(3 * 8760 * 3600)),
        (Speed, "1 Gbit/s", Fraction(10**9)),
        (Speed, "100 Mbps", Fraction(10**8)),
        (Speed, "12.5 MB/s", Fraction(10**8)),
        (Money, "500 USD", Fraction(500)),
        (Money, "$1,200.50", Fraction("1200.5")),
        (Money, 12, Fraction(12)),
        (Memory, "512 MiB", Fraction(1, 2)),
        (Memory, "3 GB", Fraction(3)),
    ],
)
def test_amounts_are_read_exactly(kind: type[Amount], text: str | int, value: Fraction) -> None:
    assert kind.parse(text).value == value
    assert str(kind.parse(text)) == str(text)


@pytest.mark.parametrize("kind", AMOUNTS)
@pytest.mark.parametrize(
    "given", ["", "-1", "GB", "1 e", "nan", "inf", "1.2.3 GB", None, True, [1], "1" * 50, "1 2 GB"]
)
def test_what_is_no_amount_is_refused_with_an_example(kind: type[Amount], given: object) -> None:
    with pytest.raises(ValueError, match="write for example"):
        kind.parse(given)


def test_every_question_can_be_asked_and_answered() -> None:
    for one in questions():
        assert one.text.endswith((".", "?")), one.path
        assert one.allowed
        assert question(one.path) is one
    assert len({one.path for one in questions()}) == len(questions()) > 50


def test_what_is_typed_becomes_what_a_file_holds() -> None:
    def of(path: str, text: str) -> object:
        asked = question(path)
        assert asked is not None
        return typed(asked, text)

    assert of("data.sensitivity", " HIPAA, personal,") == ["hipaa", "personal"]
    assert of("organisation.cloud", "Forbidden ") == "forbidden"
    assert of("security.cleared", "Yes") is True
    assert of("security.cleared", "perhaps") == "perhaps"
    assert of("requests.per_month", "3,100,000") == 3_100_000
    assert of("hardware.hours_per_month", "12.5") == 12.5
    assert of("requests.per_month", "3.1M") == of("requests.per_month", "3.1 million") == 3_100_000
    assert of("requests.per_month", "500k") == 500_000 and of("requests.per_month", "0.0001k") == "0.0001k"
    assert of("requests.per_month", "many") == "many"
    assert of("data.size", "2 TB") == "2 TB"


def test_questions_are_asked_in_order_and_once() -> None:
    held: dict[str, object] = {}
    seen = []
    while (one := next_open(held)) is not None:
        seen.append(one.path)
        if one.path == "purpose":
            put(held, one.path, ["training"])
        elif one.path == "hardware.gpu":
            put(held, one.path, "none")
        else:
            skip(held, one.path)
    assert seen[0] == "project"
    assert not [path for path in seen if path.startswith("requests.")]
    assert "hardware.gpus" not in seen
    assert len(seen) == len(set(seen))
    assert get(held, "hardware.gpu") == "none"
    assert concerns("hardware.gpus", {"hardware": {"gpu": "V100"}})


def test_lines_of_answers_are_known() -> None:
    _, lines = parsed("project: x\ndata:\n  size: 1 GB\n", "x.yaml")
    assert lines["data.size"] == 3


BOUND = Constraints(
    version=1,
    regions=("eu-*", "westeurope"),
    spot=False,
    without=("managed-training",),
    because={"spot": ("it must not be taken away",)},
)


def test_constraints_are_written_and_read() -> None:
    assert read(write(BOUND), "c.json") == BOUND
    toml = 'skylift_constraints = 1\nregions = ["eu-*", "westeurope"]\nspot = false\nwithout = ["managed-training"]\n'
    assert read(toml + '[because]\nspot = ["it must not be taken away"]\n', "c.toml") == BOUND


@pytest.mark.parametrize(
    ("offer", "says"),
    [
        ({"service": "batch", "region": "eu-west-1", "market": "on-demand"}, None),
        ({"service": "batch", "region": "westeurope", "market": "on-demand", "cloud": "azure"}, None),
        ({"service": "batch", "region": "us-east-1", "market": "on-demand"}, "aws us-east-1 is not among the allowed"),
        ({"service": "batch", "region": "eu-west-1", "market": "spot"}, "spot machines may not be used: it must not"),
        ({"service": "managed-training", "region": "eu-west-1", "market": "on-demand"}, "managed-training may not"),
        ({"service": "process", "region": "local", "market": "on-demand"}, None),
        ({"service": "batch", "region": "cellar", "market": "on-demand", "own": True}, None),
    ],
)
def test_an_offer_is_refused_in_words(offer: dict[str, object], says: str | None) -> None:
    found = BOUND.refuses(**offer)  # type: ignore[arg-type]
    assert (found is None) == (says is None)
    assert says is None or says in str(found)


def test_own_machines_only_refuses_every_cloud() -> None:
    own = Constraints(version=1, own_machines_only=True)
    assert own.refuses(service="function", region="us-east-1", market="on-demand") is not None
    assert own.refuses(service="process", region="local", market="on-demand") is None
    assert tighter(own, Constraints(version=1))
    assert not tighter(Constraints(version=1), own)
    assert tighter(BOUND, Constraints(version=1, regions=("eu-*", "westeurope", "us-*")))
    assert not tighter(Constraints(version=1, regions=("eu-*", "us-*")), BOUND)


@pytest.mark.parametrize(
    ("text", "name", "says"),
    [
        ("{}", "c.json", "skylift_constraints"),
        ('{"skylift_constraints": 2}', "c.json", "skylift_constraints"),
        ('{"skylift_constraints": 1, "sport": true}', "c.json", "sport"),
        ('{"skylift_constraints": 1, "regions": [""]}', "c.json", "regions"),
        ('{"skylift_constraints": 1, "without": ["functions"]}', "c.json", "without"),
        ("skylift_constraints = 1", "c.json", "TOML"),
        ("skylift_constraints = ", "c.toml", "TOML"),
        ("[]", "c.json", "it must be a table, not a list"),
        ("", "c.json", "c.json: is empty"),
        (" \n", "c.toml", "c.toml: is empty"),
        ("[" * 100_000, "c.json", "c.json"),
        ('{"skylift_constraints": 1, "spot": null}', "c.json", "c.json: spot: no constraints: it must be yes or no"),
        ('{"skylift_constraints": true}', "c.json", "c.json: skylift_constraints: no constraints: it must be a whole"),
        ('{"skylift_constraints": 1, "spot": false, "spot": true}', "c.json", "c.json: spot stands there twice"),
        ('{"skylift_constraints": 1, "because": {"spot": [1]}}', "c.json", "it must be text"),
    ],
)
def test_constraints_that_cannot_be_read_say_why(text: str, name: str, says: str) -> None:
    with pytest.raises(ConstraintsInvalid) as refused:
        read(text, name)
    assert says in refused.value.message
    assert refused.value.message.startswith(name)
    assert refused.value.hint


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("!!int abc", "'abc' is no int"),
        ("!!timestamp foo", None),
        ("!!binary xyz", "'xyz' is no binary"),
        ("!!float foo", "'foo' is no float"),
    ],
)
def test_what_yaml_can_make_nothing_of_is_refused_where_it_stands(written: str, said: str | None) -> None:
    text = f"data:\n  size: 1 GB\nproject: {written}\n"
    if said is None:
        assert read_project(text, "a.yaml").project == "foo"
        return
    with pytest.raises(ProjectInvalid) as problem:
        read_project(text, "a.yaml")
    assert "a.yaml, line 3" in str(problem.value) and said in str(problem.value) and problem.value.hint


def test_what_is_lacking_altogether_is_not_nothing() -> None:
    assert (
        read_project("project: a\ndata: {size: 0 GB}\nreliability: {recovery_time: 0 s}", "a.yaml").data.size
        is not None
    )


def test_a_date_is_a_text() -> None:
    assert read_project("project: 2020-01-01\ndescription: 2020-99-99\n", "a.yaml").description == "2020-99-99"
