"""Pipelines as people write them: the same called plainly and compiled."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypedDict

import pytest

from skylift import Retry, parallel, pipeline, sleep, task
from skylift.testing.parity import assert_same


@dataclass
class Page:
    rows: list[dict[str, Any]]
    next_token: str | None


@dataclass
class Model:
    name: str
    accuracy: float
    loss: float = 0.0
    epochs: int = 0
    tags: list[str] = field(default_factory=list)


@dataclass
class Report:
    rows: int
    nulls: int
    columns: list[str]


class DataError(Exception):
    """A file that cannot be used."""


class QuotaError(Exception):
    """The service has had enough of us."""


# -- extract page by page, clean, load


@task
def fetch_page(source: str, token: str | None = None) -> Page:
    number = int(token or 0)
    rows = [{"id": number * 2 + i, "value": None if i else source} for i in range(2)]
    return Page(rows, str(number + 1) if number < 3 else None)


@task
def clean(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "value": row["value"] or "missing"}


@task
def store(rows: list[dict[str, Any]]) -> int:
    return len(rows)


@pipeline
def etl(source: str, page_limit: int = 10) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    token = None
    pages = 0
    while pages < page_limit:
        page = fetch_page(source, token=token)
        rows.extend(page.rows)
        pages += 1
        token = page.next_token
        if token is None:
            break
    cleaned = [clean(row) for row in rows if row["value"] is not None]
    stored = store(cleaned)
    return {"pages": pages, "read": len(rows), "stored": stored, "ids": [row["id"] for row in cleaned]}


# -- hyperparameter search, stopping early


@task
def train(rate: float, depth: int = 3, name: str = "net") -> Model:
    if rate > 0.5:
        raise ValueError(f"diverged at rate {rate}")
    return Model(name, accuracy=round(0.6 + depth / 20 - rate / 10, 3), loss=rate, epochs=depth, tags=["trained"])


@pipeline
def search(rates: list[float], depths: list[int], patience: int = 2) -> dict[str, Any]:
    best = None
    history = []
    waited = 0
    for depth in depths:
        models = [train(rate, depth=depth) for rate in rates]
        leader = max(models, key=lambda m: m.accuracy)
        history.append({"depth": depth, "accuracy": leader.accuracy})
        if best is None or leader.accuracy > best.accuracy:
            best = leader
            waited = 0
        else:
            waited += 1
        if waited >= patience:
            break
    assert best is not None, "no depths were given"
    return {"best": best, "history": history, "tried": len(history) * len(rates)}


# -- k-fold cross-validation


@task
def split(rows: list[int], folds: int) -> list[list[int]]:
    return [rows[i::folds] for i in range(folds)]


@task
def fit(rows: list[int], power: int) -> float:
    return sum(row**power for row in rows) / max(1, len(rows))


@task
def score(fitted: float, rows: list[int]) -> float:
    return fitted - sum(rows)


@pipeline
def cross_validate(rows: list[int], folds: int, powers: list[int]) -> list[dict[str, Any]]:
    parts = split(rows, folds)
    results = []
    for power in powers:
        scores = [
            score(fit([x for j, other in enumerate(parts) if j != i for x in other], power), part)
            for i, part in enumerate(parts)
        ]
        results.append({"power": power, "mean": sum(scores) / len(scores), "worst": min(scores)})
    nested = [[fit(part, power) for part in parts] for power in powers]
    results.append({"power": 0, "mean": sum(sum(row) for row in nested), "worst": min(min(row) for row in nested)})
    return sorted(results, key=lambda r: r["power"])


# -- an ensemble


@task
def predict(model: Model, x: float) -> float:
    return model.accuracy * x


@task
def vote(predictions: list[float], weights: list[float]) -> float:
    return sum(p * w for p, w in zip(predictions, weights, strict=True)) / sum(weights)


@pipeline
def ensemble(x: float) -> dict[str, Any]:
    deep, shallow, wide = parallel(
        train(0.1, depth=8, name="deep"), train(0.2, depth=2, name="shallow"), train(0.05, name="wide")
    )
    members = [deep, shallow, wide]
    weights = [m.accuracy for m in members]
    total = sum(weights)
    answer = vote([predict(m, x) for m in members], [w / total for w in weights])
    names = ", ".join([m.name for m in members if m.accuracy > 0.7])
    return {"answer": answer, "members": names, "strongest": max(members, key=lambda m: m.accuracy).name}


# -- a fallback when the good model is not to be had


@task(retry=Retry(attempts=2, on=QuotaError, interval=1))
def ask_large(text: str) -> str:
    if "hard" in text:
        raise QuotaError("too many requests")
    if "broken" in text:
        raise ValueError("not a text")
    return text.upper()


@task
def ask_small(text: str) -> str:
    return text[:3]


@pipeline
def summarise(texts: list[str]) -> list[dict[str, Any]]:
    found = []
    for text in texts:
        used = "large"
        try:
            answer = ask_large(text)
        except QuotaError as error:
            print("falling back:", error)
            used = "small"
            answer = ask_small(text)
        except ValueError:
            continue
        finally:
            sleep(1)
        found.append({"text": text, "answer": answer, "used": used})
    return found


# -- a person decides


class Decision(TypedDict):
    ok: bool
    by: str


@task
def deploy(model: Model, stage: str) -> str:
    return f"{model.name}@{stage}"


@pipeline
def release(rate: float, minimum: float = 0.7) -> dict[str, Any]:
    model = train(rate)
    if model.accuracy < minimum:
        return {"status": "rejected", "accuracy": model.accuracy}
    staged = deploy(model, "staging")
    from_person: Decision = release_question(model.name, staged)
    if not from_person["ok"]:
        return {"status": "refused", "by": from_person["by"]}
    return {"status": "live", "where": deploy(model, stage="production"), "by": from_person["by"]}


@task
def release_question(name: str, staged: str) -> Decision:
    return {"ok": "staging" in staged, "by": name}


# -- training with a state


@task
def step(weights: list[float], rate: float) -> dict[str, Any]:
    return {"weights": [w - rate * w for w in weights], "loss": sum(w * w for w in weights)}


@pipeline
def incremental(weights: list[float], rounds: int = 6) -> dict[str, Any]:
    state = {"losses": [], "weights": weights, "best": 1e9, "round": 0}
    rate = 0.5
    while state["round"] < rounds:
        result = step(state["weights"], rate)
        loss = result["loss"]
        state["losses"].append(loss)
        state["weights"] = result["weights"]
        state["round"] += 1
        if loss < state["best"]:
            state["best"] = loss
        else:
            rate /= 2
        if len(state["losses"]) >= 2 and state["losses"][-2] - state["losses"][-1] < 0.01:
            break
    return {**state, "rate": rate}


# -- a gate on the data's quality


@task
def profile(file: str) -> Report:
    if file.endswith(".bad"):
        raise DataError(f"{file}: cannot be read")
    return Report(rows=len(file) * 10, nulls=file.count("x"), columns=["id", "value"])


@pipeline
def gate(files: list[str], required: list[str], most_nulls: float = 0.05) -> dict[str, Any]:
    assert files, "no files"
    accepted = []
    problems = {}
    for file in files:
        try:
            report = profile(file)
            assert report.rows > 0, f"{file} is empty"
            missing = [column for column in required if column not in report.columns]
            if missing:
                raise DataError(f"{file} lacks {', '.join(missing)}")
            if report.nulls / report.rows > most_nulls:
                raise DataError(f"{file}: {report.nulls} of {report.rows} are null")
        except (DataError, AssertionError) as error:
            problems[file] = str(error)
        else:
            accepted.append(file)
    if not accepted:
        raise DataError(f"nothing to work with: {len(problems)} problems")
    return {"accepted": accepted, "problems": problems, "share": len(accepted) / len(files)}


# -- a pipeline that calls itself


@task
def halves(rows: list[int]) -> list[list[int]]:
    middle = len(rows) // 2
    return [rows[:middle], rows[middle:]]


@pipeline
def merge_sort(rows: list[int]) -> list[int]:
    if len(rows) <= 1:
        return rows
    left, right = halves(rows)
    first = merge_sort(left)
    second = merge_sort(right)
    merged: list[int] = []
    i = j = 0
    while i < len(first) and j < len(second):
        if first[i] <= second[j]:
            merged.append(first[i])
            i += 1
        else:
            merged.append(second[j])
            j += 1
    return merged + first[i:] + second[j:]


# -- scoring in batches


@task
def score_batch(batch: list[float], threshold: float) -> list[int]:
    return [int(value > threshold) for value in batch]


@pipeline
def batch_scoring(values: list[float], ids: list[str], size: int = 2, threshold: float = 0.5) -> dict[str, Any]:
    batches = [values[i : i + size] for i in range(0, len(values), size)]
    labels = [score_batch(batch, threshold) for batch in batches]
    flat = [label for batch in labels for label in batch]
    by_id = {name: label for name, label in zip(ids, flat, strict=True)}
    chosen = [f"{number}. {name}" for number, (name, label) in enumerate(by_id.items(), start=1) if label]
    counts = {}
    for label in flat:
        key = "yes" if label else "no"
        counts[key] = counts.get(key, 0) + 1
    return {"by_id": by_id, "chosen": chosen, "counts": counts, "batches": len(batches)}


# -- flags and defaults

DEFAULTS = {"model": "small", "rate": 0.1, "features": ["a", "b"], "augment": False, "limits": {"epochs": 3}}


@task
def augment(names: list[str]) -> list[str]:
    return [*names, *[name * 2 for name in names]]


@pipeline
def configured(config: dict[str, Any]) -> dict[str, Any]:
    settings = {**DEFAULTS, **config}
    unknown = [key for key in config if key not in DEFAULTS]
    if unknown:
        raise ValueError(f"unknown settings: {', '.join(sorted(unknown))}")
    names: list[str] = settings["features"]
    if settings.get("augment"):
        names = augment(names)
    rate: float = settings["rate"]
    model = train(rate, depth=settings["limits"]["epochs"], name=settings["model"])
    label = "large" if len(names) > 2 and settings["model"] != "small" else "plain"
    return {"names": names, "accuracy": model.accuracy, "label": label, "keys": sorted(settings)}


# -- every item's own error


@task
def parse_number(text: str) -> float:
    return float(text)


@pipeline
def parse_or_none(text: str) -> float | None:
    try:
        return parse_number(text)
    except ValueError:
        return None


@pipeline
def tolerant(texts: list[str], most_errors: int = 2) -> dict[str, Any]:
    parsed = [parse_or_none(text) for text in texts]
    good = [value for value in parsed if value is not None]
    bad = [text for text, value in zip(texts, parsed) if value is None]
    errors = []
    for index, text in enumerate(bad):
        errors.append({"index": index, "text": text})
        if len(errors) > most_errors:
            raise RuntimeError(f"more than {most_errors} errors, the last: {text!r}")
    return {"mean": sum(good) / len(good) if good else None, "errors": errors, "all": parsed}


CASES: list[tuple[Any, dict[str, Any]]] = [
    (etl, {"source": "s"}),
    (etl, {"source": "s", "page_limit": 2}),
    (search, {"rates": [0.1, 0.3], "depths": [1, 4, 2, 2, 9]}),
    (search, {"rates": [0.1, 0.9], "depths": [1]}),
    (search, {"rates": [0.1], "depths": []}),
    (cross_validate, {"rows": [1, 2, 3, 4, 5], "folds": 3, "powers": [1, 2]}),
    (ensemble, {"x": 2.0}),
    (summarise, {"texts": ["easy", "hard one", "broken", "last"]}),
    (release, {"rate": 0.1}),
    (release, {"rate": 0.1, "minimum": 0.99}),
    (incremental, {"weights": [1.0, 2.0]}),
    (incremental, {"weights": [0.0]}),
    (gate, {"files": ["one", "xx", "a.bad"], "required": ["id"]}),
    (gate, {"files": ["one"], "required": ["id", "label"]}),
    (gate, {"files": [], "required": []}),
    (merge_sort, {"rows": [5, 3, 9, 1, 1]}),
    (merge_sort, {"rows": []}),
    (batch_scoring, {"values": [0.1, 0.9, 0.6], "ids": ["a", "b", "c"]}),
    (batch_scoring, {"values": [0.1, 0.9], "ids": ["a"]}),
    (configured, {"config": {}}),
    (configured, {"config": {"model": "big", "augment": True, "features": ["z"], "limits": {"epochs": 1}}}),
    (configured, {"config": {"modle": "big"}}),
    (tolerant, {"texts": ["1", "2.5", "x"]}),
    (tolerant, {"texts": ["x", "y", "z"]}),
]


@pytest.mark.parametrize(
    ("flow", "values"), [pytest.param(flow, values, id=f"{flow.name}-{i}") for i, (flow, values) in enumerate(CASES)]
)
def test_the_same_both_ways(flow: Any, values: dict[str, Any]) -> None:
    assert_same(flow, **values)
