"""The pictures that commands write, in one style: PNG or SVG by the name of the file. Needs matplotlib (`plots`).

Each function takes plain numbers with their names. The same numbers give the same SVG, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from skylift.errors import SetupError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES = ("png", "svg")
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#999999")
"""Of Okabe and Ito (Color Universal Design, 2008): told apart whatever colours one sees."""
HATCHES = ("", "///", "...", "xxx")
"""For what comes after all colours are used once."""
MOST_BARS = 40
INCHES = (8.0, 4.8)
_STYLE = {
    "svg.hashsalt": "skylift",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "text.parse_math": False,  # amounts and names of users are text, dollar signs and all
}


class Mark(NamedTuple):
    """A place on a picture that has a name: a break-even, a limit, the point that was chosen."""

    x: float
    label: str


class Point(NamedTuple):
    """One plan on a front."""

    seconds: float
    usd: float
    label: str = ""


def picture_file(path: Path) -> Path:
    """The file, if a picture can be written there by its name. Raises SetupError (PLOT-FILE): ask before long work."""
    if path.suffix.lower().removeprefix(".") not in SUFFIXES:
        raise SetupError(
            f"{path} does not say what kind of picture it is: its name ends in {path.suffix!r}",
            hint=f"name it {path.stem or 'picture'}.png or {path.stem or 'picture'}.svg",  # "." and "/" have no name
            code="PLOT-FILE",
        )
    if not path.absolute().parent.is_dir():
        raise SetupError(f"{path}: there is no folder {path.absolute().parent}", hint="make it first", code="PLOT-FILE")
    return path


def front(
    points: Sequence[Point],
    path: Path,
    *,
    title: str = "Cost and time of the best plans",
    chosen: Point | None = None,
    time: str = "time",
    beside: tuple[str, Sequence[Point]] | None = None,
) -> None:
    """Plans of which none is both dearer and slower than another, and the one that was chosen. `time` says which time
    they are compared by; `beside` are the same plans by another, with what that is."""
    unit, seconds = _time_unit(max((point.seconds for point in points), default=0.0))
    with _axes(path, title, f"{time} ({unit})", "cost (USD)") as axes:
        ordered = sorted(points)
        x, y = [point.seconds / seconds for point in ordered], [point.usd for point in ordered]
        axes.step(x, y, where="post", color=PALETTE[0], alpha=0.5)
        axes.plot(x, y, "o", color=PALETTE[0], label="best plans")
        for point in ordered:
            if point.label:
                _named(axes, point.seconds / seconds, point.usd, point.label)
        if beside is not None:
            x, y = [point.seconds / seconds for point in beside[1]], [point.usd for point in beside[1]]
            axes.plot(x, y, "o", color=PALETTE[0], fillstyle="none", alpha=0.6, label=beside[0])
        if chosen is not None:
            place = ([chosen.seconds / seconds], [chosen.usd])
            axes.plot(*place, "*", color=PALETTE[3], markersize=14, label=_plain(chosen.label or "chosen"))
        axes.set_ylim(bottom=0)
        axes.legend()


def stacked(
    names: Sequence[str], layers: Mapping[str, Sequence[float]], path: Path, *, title: str, y: str = "cost (USD)"
) -> None:
    """One bar for each name, made of the layers' amounts from the bottom up. Beyond `MOST_BARS` the smallest bars are
    added up in the last one."""
    names, layers = _fewer_bars(names, layers)
    with _axes(path, title, "", y) as axes:
        floor = [0.0] * len(names)
        places = list(range(len(names)))
        for number, (layer, amounts) in enumerate(layers.items()):
            axes.bar(
                places,
                list(amounts),
                bottom=floor,
                label=_plain(layer),
                color=PALETTE[number % len(PALETTE)],
                hatch=HATCHES[number // len(PALETTE) % len(HATCHES)],
                edgecolor="white",
                linewidth=0.5,
            )
            floor = [below + amount for below, amount in zip(floor, amounts, strict=True)]
        axes.set_xticks(places, [_plain(name) for name in names], rotation=0 if len(names) < 7 else 90)
        axes.grid(visible=False, axis="x")
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def lines(
    series: Mapping[str, Sequence[tuple[float, float]]],
    path: Path,
    *,
    title: str,
    x: str,
    y: str,
    marks: Sequence[Mark] = (),
    scale: Literal["linear", "log"] = "linear",
) -> None:
    """Curves over one axis, which `scale` is of, and upright lines where something is to be seen: break-evens."""
    with _axes(path, title, x, y) as axes:
        for number, (name, points) in enumerate(series.items()):
            across, up = [point[0] for point in points], [point[1] for point in points]
            axes.plot(across, up, color=PALETTE[number % len(PALETTE)], label=_plain(name), linewidth=1.8)
        for mark in marks:
            axes.axvline(mark.x, color="#555555", linestyle="--", linewidth=1.0)
            axes.annotate(
                _plain(mark.label),
                (mark.x, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(3, -3),
                textcoords="offset points",
                rotation=90,
                verticalalignment="top",
                fontsize=8,
            )
        axes.set_xscale(scale)
        _readable(axes, scale)
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
        axes.legend()


@contextmanager
def _axes(path: Path, title: str, x: str, y: str) -> Iterator[Axes]:
    """An empty picture, which is written at the end."""
    picture_file(path)
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as missing:
        raise SetupError(
            "pictures need matplotlib, which is not installed", hint="pip install 'skylift[plots]'", code="NO-PLOTS"
        ) from missing
    settings: dict[Any, Any] = {**matplotlib.rcParamsDefault, **_STYLE, "backend": "agg"}  # whatever the user's are
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=INCHES, layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(_plain(title))
        axes.set_xlabel(_plain(x))
        axes.set_ylabel(_plain(y))
        yield axes
        kind = path.suffix.lower().removeprefix(".")
        dateless = {"Date": None, "Creator": "skylift"} if kind == "svg" else {"Software": "skylift"}
        figure.savefig(path, format=kind, dpi=150, metadata=dateless)


def _readable(axes: Axes, scale: str) -> None:
    """Powers as `1 k`, `1 M`: text, since mathematics is not set here."""
    if scale == "log":
        from matplotlib.ticker import EngFormatter, NullFormatter

        axes.xaxis.set_major_formatter(EngFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())


def _named(axes: Axes, x: float, y: float, label: str) -> None:
    axes.annotate(_plain(label), (x, y), xytext=(5, 5), textcoords="offset points", fontsize=8)


def _fewer_bars(
    names: Sequence[str], layers: Mapping[str, Sequence[float]]
) -> tuple[Sequence[str], Mapping[str, Sequence[float]]]:
    if len(names) <= MOST_BARS:
        return names, layers
    heights = [sum(amounts[place] for amounts in layers.values()) for place in range(len(names))]
    largest = set(sorted(range(len(names)), key=lambda place: (-heights[place], place))[: MOST_BARS - 1])
    kept = [place for place in range(len(names)) if place in largest]
    others = [place for place in range(len(names)) if place not in largest]
    fewer = {
        layer: [*(amounts[place] for place in kept), sum(amounts[place] for place in others)]
        for layer, amounts in layers.items()
    }
    return [*(names[place] for place in kept), f"{len(others)} others"], fewer


def _time_unit(longest_s: float) -> tuple[str, float]:
    """In which unit times are shown, and how many seconds it has."""
    for unit, seconds in (("days", 86_400.0), ("hours", 3_600.0), ("minutes", 60.0)):
        if longest_s >= 2 * seconds:
            return unit, seconds
    return "seconds", 1.0


def _plain(text: str) -> str:
    """What can stand in a picture: a control character would make the SVG no XML."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
