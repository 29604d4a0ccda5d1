"""How good the faces recipe is, not just one run of it: the same job over several splits of the images.

skylift run examples/faces/measure.py --seeds 101 102 103
"""

from __future__ import annotations

from pathlib import Path

from faces import Report, faces

from skylift import pipeline, task

ASTRONAUT = (170, 55, 275, 190)
"""Where the face is in the picture, marked by hand: left, top, right, bottom."""


@pipeline
def measure(seeds: list[int], out: str = "faces-measured") -> str:
    """Run the whole job once a seed and sum up.

    seeds: of the splits and the trainings
    out: folder for each run's model, card and picture, and for the table
    """
    reports = [faces(seed=seed, out=f"{out}/{seed}") for seed in seeds]
    return summary(seeds, reports, out)


@task
def summary(seeds: list[int], reports: list[Report], out: str) -> str:
    """The table, also written to `RESULTS.md` in the folder."""
    scores = [report.accuracy for report in reports]
    rows = [row(seed, report) for seed, report in zip(seeds, reports, strict=True)]
    found = sum(hits(report) > 0 for report in reports)
    text = "\n".join(
        [
            "| seed | test accuracy | astronaut's face | other boxes there | false boxes in held-out pictures |",
            "|---|---|---|---|---|",
            *rows,
            "",
            f"Test accuracy: mean {sum(scores) / len(scores):.3f}, from {min(scores):.3f} to {max(scores):.3f}. "
            f"The astronaut's face was found with {found} of {len(seeds)} seeds.",
        ]
    )
    path = Path(out).resolve()
    path.mkdir(parents=True, exist_ok=True)
    (path / "RESULTS.md").write_text(text + "\n", encoding="utf-8")
    print(text)
    return text


def row(seed: int, report: Report) -> str:
    right = hits(report)
    others = len(report.faces) - right
    return f"| {seed} | {report.accuracy:.3f} | {'yes' if right else 'no'} | {others} | {report.false_boxes} |"


def hits(report: Report) -> int:
    """Boxes whose middle lies in the face."""
    middles = [((left + right) / 2, (top + bottom) / 2) for left, top, right, bottom, _ in report.faces]
    return sum(ASTRONAUT[0] <= x <= ASTRONAUT[2] and ASTRONAUT[1] <= y <= ASTRONAUT[3] for x, y in middles)
