"""Train a face detector on real images, pick and refine it, test it, export it, and find a face in a picture.

    skylift run examples/faces/faces.py
    skylift run examples/faces/faces.py --rounds 1 --seed 3

All images ship inside scikit-image; nothing is downloaded.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from skylift import pipeline, task

FACES = 100
"""The first 100 of the 200 images are faces, the others are not."""

SHARES = (0.55, 0.15, 0.30)
"""Training, validation, test."""

NO_FACES = (
    *("coffee", "chelsea", "brick", "grass", "gravel", "page", "text", "horse", "moon"),
    *("retina", "clock", "cell", "microaneurysms", "colorwheel", "logo"),
)
"""Pictures without faces that training may learn from; the next two it never sees."""

VALIDATION_PICTURES = ("stereo_motorcycle", "hubble_deep_field")
TEST_PICTURES = ("rocket", "immunohistochemistry")


@dataclass
class Settings:
    """One hyperparameter set: a small neural network on gradient features."""

    name: str
    hidden: int
    alpha: float


@dataclass
class Shard:
    """Images to prepare: their numbers and what they are for."""

    use: str
    images: list[int]


@dataclass
class Plan:
    shards: list[Shard]
    settings: list[Settings]
    pictures: list[str]
    validation: list[int]


@dataclass
class Part:
    """Prepared images: features and labels (1 face, 0 none)."""

    use: str
    features: np.ndarray
    labels: np.ndarray


@dataclass
class Trial:
    """A trained model, or why there is none. Everything is measured on validation data: accuracy and loss on images,
    alarms are windows per 10,000 that pictures without faces set off, margin is how strongly pasted faces are found
    compared with the strongest false alarm. A detection must be stronger than level."""

    name: str
    accuracy: float
    loss: float
    seconds: float
    round: int = 0
    alarms: float = -1.0
    margin: float = 0.0
    level: float = 0.0
    quality: float = 0.0
    error: str = ""
    settings: Settings | None = None
    model: Any = None
    negatives: Any = None


@dataclass
class Test:
    """Held-out images: accuracy with its 95 % interval; false boxes in held-out pictures without faces."""

    images: int
    accuracy: float
    low: float
    high: float
    false_boxes: int


@dataclass
class Report:
    accuracy: float
    interval: list[float]
    model: str
    card: str
    picture: str
    faces: list[list[float]]
    false_boxes: int


@pipeline
def faces(accuracy: float = 0.95, rounds: int = 5, shards: int = 4, seed: int = 101, out: str = "faces-out") -> Report:
    """Train, refine and test a face detector, then use it.

    accuracy: on validation images; the refinement stops when it is reached and faces stand out from false alarms
    rounds: most rounds of refinement; the best of them is kept
    shards: training images are prepared in so many parts
    seed: of the split and the training
    out: folder for model, card and picture
    """
    work = plan(shards, seed)
    parts = [prepare(shard) for shard in work.shards]
    trials = [trial(parts, settings, seed) for settings in work.settings]
    latest = look(pick(trials), work.validation, seed)
    best = latest
    history = [latest]
    while latest.round < rounds and (best.accuracy < accuracy or best.margin < 1.0):
        mistakes = [mine(latest, picture, seed) for picture in work.pictures]
        latest = look(refine(latest, parts, mistakes, seed), work.validation, seed)
        if latest.quality > best.quality:
            best = latest
        history = history + [latest]  # noqa: RUF005 - what a graph can express
    result = test(best, parts)
    model = export(best, parts, out)
    found = detect(model, out)
    table = tabulate(trials, history, best, result, found, model, out)
    print(table)
    return publish(best, result, found, model, table, out)


@pipeline
def trial(parts: list[Part], settings: Settings, seed: int) -> Trial:
    """One branch: a set that cannot be trained is reported and does not stop the others."""
    try:
        return train(parts, settings, seed)
    except ValueError as error:
        return failed(settings, str(error))


@task
def plan(shards: int, seed: int) -> Plan:
    """Split the images honestly, once, before anything is learnt or augmented; choose what to try."""
    random = np.random.default_rng(seed)
    uses: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    for first in (0, FACES):
        numbers = (random.permutation(FACES) + first).tolist()
        one, two = round(FACES * SHARES[0]), round(FACES * (SHARES[0] + SHARES[1]))
        for use, chosen in zip(uses, (numbers[:one], numbers[one:two], numbers[two:]), strict=True):
            uses[use] += chosen
    work = [Shard("train", uses["train"][index::shards]) for index in range(max(1, shards))]
    return Plan(
        shards=[*work, Shard("validation", uses["validation"]), Shard("test", uses["test"])],
        settings=[
            Settings("small", hidden=16, alpha=0.1),
            Settings("medium", hidden=64, alpha=0.1),
            Settings("stiff", hidden=64, alpha=3.0),
            Settings("broken", hidden=64, alpha=-1.0),
        ],
        pictures=list(NO_FACES),
        validation=uses["validation"],
    )


@task
def prepare(shard: Shard) -> Part:
    """Images to features. Only training images are augmented."""
    from skimage import data
    from vision import augmented, hog, scrambled

    images = data.lfw_subset()[shard.images].astype(np.float32)
    labels = (np.array(shard.images) < FACES).astype(np.int64)
    if shard.use == "train":
        tricks = scrambled(images[labels == 1])
        crops = augmented(images)
        labels = np.concatenate([np.tile(labels, len(crops) // len(images)), np.zeros(len(tricks), np.int64)])
        images = np.concatenate([crops, tricks])
    return Part(shard.use, hog(images), labels)


@task(memory="1 GiB")
def train(parts: list[Part], settings: Settings, seed: int) -> Trial:
    began = time.perf_counter()
    features, labels = gather(parts, "train")
    model = fit(features, labels, settings, seed)
    accuracy, loss = judge(model, parts)
    return Trial(settings.name, accuracy, loss, time.perf_counter() - began, settings=settings, model=model)


@task
def failed(settings: Settings, reason: str) -> Trial:
    reason = reason or "no reason given"
    return Trial(settings.name, accuracy=0.0, loss=0.0, seconds=0.0, error=reason, settings=settings)


@task
def pick(trials: list[Trial]) -> Trial:
    """The best on validation; of equals the one that is surer of its answers."""
    good = [trial for trial in trials if not trial.error]
    if not good:
        raise ValueError(f"no set could be trained: {[trial.error for trial in trials]}")
    return max(good, key=lambda trial: (trial.accuracy, -trial.loss))


@task
def look(trial: Trial, validation: list[int], seed: int) -> Trial:
    """Try the model on pictures without faces, and on one with the validation faces pasted in."""
    from skimage import data
    from vision import clusters, named, scene, strengths

    pictures = [named(name) for name in VALIDATION_PICTURES]
    scans = [scan(trial.model, picture) for picture in pictures]
    false = max((box.score for chances, boxes in scans for box in clusters(boxes, chances)), default=1.0)
    alarms = np.concatenate([chances for chances, _ in scans]) > 0.5
    faces = data.lfw_subset()[[number for number in validation if number < FACES]]
    picture, places = scene(pictures[0], faces, np.random.default_rng(seed))
    chances, boxes = scan(trial.model, picture)
    margin = float(np.median(strengths(clusters(boxes, chances), places))) / false
    return replace(
        trial,
        alarms=round(1e4 * float(alarms.mean()), 2),
        margin=round(margin, 3),
        level=round(1.25 * false, 2),
        quality=round(trial.accuracy * margin, 4),
    )


@task
def mine(trial: Trial, name: str, seed: int) -> np.ndarray:
    """Features of windows of a picture without faces that the model takes for faces: what it must learn next."""
    from vision import named, sample

    one_thread()
    random = np.random.default_rng([seed, trial.round])
    hard = []
    for turns in (trial.round, trial.round + 1):
        views = sample(np.rot90(named(name), turns), 10_000, random)
        features = np.concatenate([view.features() for view in views])
        chances = trial.model.predict_proba(features)[:, 1]
        worst = np.argsort(-chances)[:100]
        hard.append(features[worst[chances[worst] > 0.3]])
    return np.concatenate(hard)


@task(memory="1 GiB")
def refine(trial: Trial, parts: list[Part], mistakes: list[np.ndarray], seed: int) -> Trial:
    """Train again with the mistakes of all rounds as examples of what is no face."""
    began = time.perf_counter()
    features, labels = gather(parts, "train")
    earlier = [] if trial.negatives is None else [trial.negatives]
    negatives = np.concatenate([*earlier, *mistakes])
    labels = np.concatenate([labels, np.zeros(len(negatives), np.int64)])
    model = fit(np.concatenate([features, negatives]), labels, trial.settings, seed)
    accuracy, loss = judge(model, parts)
    return replace(
        trial,
        accuracy=accuracy,
        loss=loss,
        seconds=time.perf_counter() - began,
        round=trial.round + 1,
        model=model,
        negatives=negatives,
    )


@task
def test(trial: Trial, parts: list[Part]) -> Test:
    """On images and pictures that no step before has seen."""
    from vision import clusters, named

    features, labels = gather(parts, "test")
    right = int((trial.model.predict(features) == labels).sum())
    low, high = interval(right, len(labels))
    false_boxes = 0
    for name in TEST_PICTURES:
        chances, boxes = scan(trial.model, named(name))
        false_boxes += sum(box.score > trial.level for box in clusters(boxes, chances))
    return Test(len(labels), right / len(labels), low, high, false_boxes)


@task
def export(trial: Trial, parts: list[Part], out: str) -> str:
    """Write the model as ONNX, once it gives the same answers as the original."""
    import onnxruntime
    from skl2onnx import to_onnx
    from vision import FEATURES

    document = to_onnx(trial.model, np.zeros((1, FEATURES), np.float32), options={"zipmap": False})
    document.metadata_props.add(key="level", value=str(trial.level))
    content = document.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    features, _ = gather(parts, "test")
    theirs, ours = session.run(None, {"X": features})[1], trial.model.predict_proba(features)
    if not np.allclose(theirs, ours, atol=1e-4):
        raise ValueError(f"the exported model differs by {np.abs(theirs - ours).max():.2g}")
    path = folder(out) / "faces.onnx"
    path.write_bytes(content)
    return str(path)


@task
def detect(model: str, out: str) -> list[list[float]]:
    """Find faces in the astronaut's picture with the exported model alone, and draw them."""
    import onnxruntime
    from skimage import data
    from vision import clusters, draw, grey, views

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    level = float(session.get_modelmeta().custom_metadata_map["level"])
    picture = data.astronaut()
    windows = list(views(grey(picture)))
    chances = np.concatenate([session.run(None, {"X": view.features()})[1][:, 1] for view in windows])
    boxes = np.concatenate([view.boxes() for view in windows])
    found = [box for box in clusters(boxes, chances) if box.score > level]
    draw(picture, found, folder(out) / "astronaut.png")
    return [[box.left, box.top, box.right, box.bottom, box.score] for box in found]


@task
def tabulate(
    trials: list[Trial], history: list[Trial], best: Trial, result: Test, found: list[list[float]], model: str, out: str
) -> str:
    """The table that the run ends with."""
    where = folder(out)
    lines = [
        f"{'set':<18}{'validation':>10}{'alarms':>9}{'margin':>9}{'seconds':>9}",
        *[row(trial) for trial in trials],
        *[row(replace(trial, name=f"{trial.name}, round {trial.round}"), kept=best.round) for trial in history],
        "",
        f"test accuracy {result.accuracy:.3f} (95 % interval {result.low:.3f} to {result.high:.3f}, "
        f"{result.images} held-out images), {result.false_boxes} false boxes in {len(TEST_PICTURES)} held-out pictures",
        f"faces found in the astronaut's picture: {len(found)}",
        f"picture  {where / 'astronaut.png'}",
        f"model    {model}",
        f"card     {where / 'MODEL_CARD.md'}",
    ]
    return "\n".join(lines)


@task
def publish(best: Trial, result: Test, found: list[list[float]], model: str, table: str, out: str) -> Report:
    """Write the model card, and say where everything lies."""
    path = folder(out) / "MODEL_CARD.md"
    path.write_text(card(best, result, table), encoding="utf-8")
    return Report(
        accuracy=result.accuracy,
        interval=[result.low, result.high],
        model=model,
        card=str(path),
        picture=str(folder(out) / "astronaut.png"),
        faces=found,
        false_boxes=result.false_boxes,
    )


def gather(parts: list[Part], use: str) -> tuple[np.ndarray, np.ndarray]:
    chosen = [part for part in parts if part.use == use]
    return np.concatenate([part.features for part in chosen]), np.concatenate([part.labels for part in chosen])


def fit(features: np.ndarray, labels: np.ndarray, settings: Settings, seed: int) -> Any:
    """A trained network. Faces and others weigh the same, however many there are of each."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    one_thread()
    weights = np.where(labels == 1, (labels == 0).sum() / max(1, (labels == 1).sum()), 1.0)
    model = MLPClassifier((settings.hidden,), alpha=settings.alpha, max_iter=40, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # stopping early is part of the recipe
        return model.fit(features, labels, sample_weight=weights)


def one_thread() -> None:
    """Tasks already run side by side: threads that a library starts for such small work only wait for each other."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)


def judge(model: Any, parts: list[Part]) -> tuple[float, float]:
    """Accuracy and mean loss on the validation images."""
    features, labels = gather(parts, "validation")
    chances = np.clip(model.predict_proba(features)[np.arange(len(labels)), labels], 1e-6, 1)
    return float((chances > 0.5).mean()), float(-np.log(chances).mean())


def scan(model: Any, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The chance of a face in every window of a grey picture, and the windows' boxes."""
    from vision import views

    one_thread()
    windows = list(views(picture))
    chances = [model.predict_proba(view.features())[:, 1] for view in windows]
    return np.concatenate(chances), np.concatenate([view.boxes() for view in windows])


def interval(right: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion."""
    z = 1.96
    share = right / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * (share * (1 - share) / total + z * z / (4 * total * total)) ** 0.5 / (1 + z * z / total)
    return round(middle - half, 4), round(middle + half, 4)


def folder(out: str) -> Path:
    path = Path(out).resolve()
    path.mkdir(parents=True, exist_ok=True)
    return path


def row(trial: Trial, kept: int = -1) -> str:
    if trial.error:
        return f"{trial.name:<18}{'failed':>10}  {shortened(trial.error)}"
    looked = trial.alarms >= 0
    alarms, margin = (f"{trial.alarms:.1f}", f"{trial.margin:.2f}") if looked else ("-", "-")
    mark = "  kept" if trial.round == kept else ""
    return f"{trial.name:<18}{trial.accuracy:>10.3f}{alarms:>9}{margin:>9}{trial.seconds:>9.2f}{mark}"


def shortened(text: str, width: int = 90) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def card(best: Trial, result: Test, table: str) -> str:
    return f"""# Model card: faces

**What it is.** A neural network ({best.settings.hidden} hidden units, alpha {best.settings.alpha}) on gradient
histograms of 25 x 25 grey crops. It says how likely a crop is an upright, frontal face. Format: ONNX; input `X`,
float32, (n, 512), made by `vision.hog`. A detection is a cluster of windows whose chances add up to more than
{best.level}.

**Data.** 200 crops of Labeled Faces in the Wild as shipped in scikit-image (100 faces, 100 others), split once by
chance into 55 % training, 15 % validation and 30 % test before any augmentation. Hard negatives come from
{len(NO_FACES)} pictures without faces. The set, the round and the level were chosen on the validation images and
{len(VALIDATION_PICTURES)} more pictures; false boxes were counted on {len(TEST_PICTURES)} others.

**Results.** Accuracy on {result.images} held-out images: {result.accuracy:.3f} (95 % interval {result.low:.3f} to
{result.high:.3f}). False boxes in the held-out pictures: {result.false_boxes}.

**Limits.** One split of few images. Over ten splits not seen while the recipe was made, test accuracy was 0.957 on
average, from 0.917 to 0.983, and the astronaut's face was found in eight (see `README.md` beside the program). Few and
unevenly chosen people: expect it to work less well for faces unlike those. Not for identifying anyone, and not for
decisions about people.

```
{table}
```
"""
