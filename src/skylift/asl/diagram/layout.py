"""A small layered layout: boxes in rows, top to bottom, and lines between them that cross no box.

Rows are the longest paths from the first box. A line that spans several rows, or has a label, gets places of its own
in the rows between (Sugiyama's method); lines to the same box share them. Lines that go back up run through the gaps
between rows and a lane at the nearer side. Everything is deterministic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import msgspec

GAP_X = 28.0
GAP_Y = 30.0
LABEL_HEIGHT = 20.0
LANE = 16.0
TRACK = 5.0


class Line(msgspec.Struct):
    """A connection to route. `points` alternates between straight and curved parts, see `routes`."""

    source: str
    target: str
    label_width: float = 0.0
    """0 if it has no label."""
    group: str = ""
    """Lines to the same box share their way only within a group."""


class Route(msgspec.Struct):
    path: str
    """The `d` attribute of an SVG path, in the layout's coordinates."""
    label_at: tuple[float, float] | None = None
    """The middle of the label."""
    joins: bool = False
    """It ends where it meets another line to the same box, so it has no arrowhead of its own."""


class Layout(msgspec.Struct):
    width: float
    height: float
    boxes: dict[str, tuple[float, float]]
    """Left and top of each box."""
    routes: list[Route]
    """As the lines were given."""


class _Place(msgspec.Struct, eq=False):
    """A box, or a place that a line reserves in a row."""

    row: int
    width: float
    height: float
    order: int = 0
    left: float = 0.0
    is_box: bool = False
    above: list[_Place] = []
    below: list[_Place] = []

    @property
    def middle(self) -> float:
        return self.left + self.width / 2


def lay_out(sizes: Mapping[str, tuple[float, float]], first: str, lines: Sequence[Line]) -> Layout:
    """Place boxes of the given sizes (width, height), `first` at the top."""
    return _Layouter(sizes, first, lines).run()


class _Layouter:
    def __init__(self, sizes: Mapping[str, tuple[float, float]], first: str, lines: Sequence[Line]) -> None:
        self.sizes = sizes
        self.lines = lines
        self.back = _back_lines(first, sizes, lines)
        self.level = self._levels()
        self.boxes = {
            name: _Place(row=2 * self.level[name], width=size[0], height=size[1], is_box=True, above=[], below=[])
            for name, size in sizes.items()
        }
        self.shared: dict[tuple[str, str, int], _Place] = {}
        self.labels: dict[int, _Place] = {}
        self.chains: dict[int, list[_Place]] = {}
        self.drawn: set[int] = set()
        self.rows: list[list[_Place]] = [[] for _ in range(2 * max(self.level.values(), default=0) + 1)]

    def run(self) -> Layout:
        for place in self.boxes.values():
            self.rows[place.row].append(place)
        for index, line in enumerate(self.lines):
            if index not in self.back:
                self._chain(index, line)
        self._order()
        self._spread()
        tops, bottoms = self._heights()
        lanes = self._lanes()
        routes = self._routes(tops, bottoms, lanes)
        rights = [place.left + place.width for row in self.rows for place in row]
        rights += [lane.x + (lane.label if lane.right else 0.0) + 2.0 for lane in lanes.values()]
        low = max((_low(bottoms, lane) + 4.0 for lane in lanes.values()), default=0.0)
        boxes = {name: (place.left, tops[place.row]) for name, place in self.boxes.items()}
        return Layout(max(rights, default=0.0), max(bottoms[-1], low), boxes, routes)

    def _levels(self) -> dict[str, int]:
        """The longest way from the top, without the lines that go back."""
        level = dict.fromkeys(self.sizes, 0)
        targets: dict[str, list[str]] = {name: [] for name in self.sizes}
        waits = dict.fromkeys(self.sizes, 0)
        for index, line in enumerate(self.lines):
            if index not in self.back:
                targets[line.source].append(line.target)
                waits[line.target] += 1
        ready = [name for name in self.sizes if not waits[name]]
        for name in ready:
            for target in targets[name]:
                level[target] = max(level[target], level[name] + 1)
                waits[target] -= 1
                if not waits[target]:
                    ready.append(target)
        return level

    def _chain(self, index: int, line: Line) -> None:
        """The places a line goes through, its ends included."""
        source, target = self.boxes[line.source], self.boxes[line.target]
        chain = [source]
        for row in range(source.row + 1, target.row):
            if row == source.row + 1 and line.label_width:
                place = self._new(row, line.label_width, LABEL_HEIGHT)
                self.labels[index] = place
            elif row == source.row + 1 and row == target.row - 1:
                continue  # a short line without a label needs no place
            else:
                key = (line.target, line.group, row)
                if key not in self.shared:
                    self.shared[key] = self._new(row, 6.0, 0.0)
                place = self.shared[key]
            chain.append(place)
        chain.append(target)
        for upper, lower in pairwise(chain):
            if lower not in upper.below:
                upper.below.append(lower)
                lower.above.append(upper)
        self.chains[index] = chain

    def _new(self, row: int, width: float, height: float) -> _Place:
        place = _Place(row=row, width=width, height=height, above=[], below=[])
        self.rows[row].append(place)
        return place

    def _order(self) -> None:
        """Fewer crossings: sort each row by the mean place of its neighbours, down and up."""
        for row in self.rows:
            for order, place in enumerate(row):
                place.order = order
        for sweep in range(8):
            down = sweep % 2 == 0
            for row in self.rows if down else reversed(self.rows):
                row.sort(key=lambda place, down=down: _mean(place, place.above if down else place.below))  # type: ignore[misc]
                for order, place in enumerate(row):
                    place.order = order

    def _spread(self) -> None:
        """Left edges: each place as near below and above its neighbours as the order of its row allows."""
        for row in self.rows:
            at = 0.0
            for place in row:
                place.left = at
                at += place.width + GAP_X
        for sweep in range(12):
            for row in self.rows if sweep % 2 == 0 else reversed(self.rows):
                _settle(row, sweep)
        least = min((place.left for row in self.rows for place in row), default=0.0)
        for row in self.rows:
            for place in row:
                place.left -= least

    def _heights(self) -> tuple[list[float], list[float]]:
        """Top and bottom of each row."""
        tops: list[float] = []
        bottoms: list[float] = []
        tracks = self._tracks()
        at = GAP_Y * 0.6 if 0 in tracks else 0.0
        for number, row in enumerate(self.rows):
            at += tracks.get(number, 0) * TRACK
            tops.append(at)
            at += max((place.height for place in row), default=0.0)
            bottoms.append(at)
            labelled = any(place.height for place in self._row(number if number % 2 else number + 1))
            at += GAP_Y * (0.75 if labelled else 0.6)
        return tops, bottoms

    def _row(self, number: int) -> list[_Place]:
        return self.rows[number] if number < len(self.rows) else []

    def _tracks(self) -> dict[int, int]:
        """How many lines that go back run horizontally above each row."""
        tracks: dict[int, int] = {}
        for index in self.back:
            line = self.lines[index]
            for row in (self.boxes[line.source].row + 1, self.boxes[line.target].row):
                tracks[row] = tracks.get(row, 0) + 1
        return tracks

    def _lanes(self) -> dict[int, _Lane]:
        """A lane for each line that goes back, short ones inside; moves all places right to make room at the left."""
        lanes: dict[int, _Lane] = {}
        tracks: dict[int, int] = {}
        by_span = sorted(self.back, key=lambda index: (self._rows_of(index)[1] - self._rows_of(index)[0], index))
        for index in by_span:
            lane = self._lane(index, list(lanes.values()))
            lane.low_track, lane.high_track = _count(tracks, lane.last), _count(tracks, lane.first)
            lanes[index] = lane
        shift = -min([lane.x - 2.0 - (0.0 if lane.right else lane.label) for lane in lanes.values()] + [0.0])
        for row in self.rows:
            for place in row:
                place.left += shift
        for lane in lanes.values():
            lane.x += shift
        return lanes

    def _rows_of(self, index: int) -> tuple[int, int]:
        line = self.lines[index]
        return self.boxes[line.target].row, self.boxes[line.source].row + 1

    def _lane(self, index: int, taken: list[_Lane]) -> _Lane:
        line = self.lines[index]
        first, last = self._rows_of(index)
        label = line.label_width
        places = [place for row in self.rows[first : last + 1] for place in row]
        beside = [lane for lane in taken if lane.first <= last and first <= lane.last]
        left = min(place.left for place in places)
        left = min([left, *(lane.x - lane.label for lane in beside if not lane.right)]) - LANE
        right = max(place.left + place.width for place in places)
        right = max([right, *(lane.x + lane.label for lane in beside if lane.right)]) + LANE
        ends = self.boxes[line.source].middle + self.boxes[line.target].middle
        to_right = 2 * right - ends <= ends - 2 * left
        return _Lane(x=right if to_right else left, right=to_right, first=first, last=last, label=label)

    def _routes(self, tops: list[float], bottoms: list[float], lanes: Mapping[int, _Lane]) -> list[Route]:
        ports = _Ports(self, lanes)
        return [
            self._backward(index, ports, tops, bottoms, lanes[index])
            if index in lanes
            else self._forward(index, ports, tops, bottoms)
            for index in range(len(self.lines))
        ]

    def _forward(self, index: int, ports: _Ports, tops: list[float], bottoms: list[float]) -> Route:
        chain = self.chains[index]
        x = ports.out[index]
        y = tops[chain[0].row] + chain[0].height
        path = f"M{_n(x)},{_n(y)}"
        if bottoms[chain[0].row] > y:
            y = bottoms[chain[0].row]
            path += f"V{_n(y)}"
        joins = False
        for place in chain[1:]:
            to = ports.into[index] if place.is_box else place.middle
            path += _curve(x, y, to, tops[place.row])
            x, y = to, tops[place.row]
            if place.is_box:
                break
            joins = id(place) in self.drawn
            if joins:
                break
            self.drawn.add(id(place))
            if bottoms[place.row] > y:
                y = bottoms[place.row]
                path += f"V{_n(y)}"
        label = self.labels.get(index)
        at = (label.middle, (tops[label.row] + bottoms[label.row]) / 2) if label is not None else None
        return Route(path, at, joins)

    def _backward(self, index: int, ports: _Ports, tops: list[float], bottoms: list[float], lane: _Lane) -> Route:
        """Down into the gap below the source, aside to the lane, up, and back above the target."""
        source = self.boxes[self.lines[index].source]
        out, into, x = ports.out[index], ports.into[index], lane.x
        low = _low(bottoms, lane)
        high = tops[lane.first] - 14.0 - TRACK * lane.high_track
        r = 7.0
        side = r if lane.right else -r
        path = (
            f"M{_n(out)},{_n(tops[source.row] + source.height)}V{_n(low - r)}"
            f"Q{_n(out)},{_n(low)} {_n(out + side)},{_n(low)}"
            f"H{_n(x - side)}Q{_n(x)},{_n(low)} {_n(x)},{_n(low - r)}V{_n(high + r)}"
            f"Q{_n(x)},{_n(high)} {_n(x - side)},{_n(high)}H{_n(into + side)}"
            f"Q{_n(into)},{_n(high)} {_n(into)},{_n(high + r)}V{_n(tops[lane.first])}"
        )
        middle = x + (5.0 + lane.label / 2) * (1 if lane.right else -1)
        return Route(path, (middle, (low + high) / 2) if lane.label else None)


class _Lane(msgspec.Struct):
    """Where a line that goes back runs upwards."""

    x: float
    right: bool
    first: int
    """The target's row."""
    last: int
    """The row below the source's."""
    label: float
    low_track: int = 0
    high_track: int = 0


def _low(bottoms: list[float], lane: _Lane) -> float:
    return bottoms[lane.last - 1] + 8.0 + TRACK * lane.low_track


class _Ports:
    """Where lines leave and enter boxes: spread along the edge, in the order of their other ends."""

    def __init__(self, layouter: _Layouter, lanes: Mapping[int, _Lane]) -> None:
        self.out: dict[int, float] = {}
        self.into: dict[int, float] = {}
        leaving: dict[str, list[tuple[float, Any, int]]] = {}
        entering: dict[str, list[tuple[float, Any, int]]] = {}
        for index, line in enumerate(layouter.lines):
            if index in lanes:
                leaving.setdefault(line.source, []).append((lanes[index].x, index, index))
                entering.setdefault(line.target, []).append((lanes[index].x, index, index))
                continue
            chain = layouter.chains[index]
            leaving.setdefault(line.source, []).append((chain[1].middle, index, index))
            own = chain[-2].is_box or chain[-2] is layouter.labels.get(index)
            shared = index if own else id(chain[-2])
            entering.setdefault(line.target, []).append((chain[-2].middle, shared, index))
        for ends, boxes in ((leaving, self.out), (entering, self.into)):
            for name, wanted in ends.items():
                _spread_ports(layouter.boxes[name], wanted, boxes)


def _spread_ports(box: _Place, wanted: list[tuple[float, Any, int]], ports: dict[int, float]) -> None:
    wanted.sort(key=lambda each: (each[0], each[2]))
    slots: list[Any] = []
    for _, group, _ in wanted:
        if group not in slots:
            slots.append(group)
    step = min(22.0, (box.width - 36.0) / max(len(slots), 1))
    for _, group, index in wanted:
        ports[index] = box.middle + (slots.index(group) - (len(slots) - 1) / 2) * step


def _back_lines(first: str, sizes: Mapping[str, Any], lines: Sequence[Line]) -> set[int]:
    """Lines that close a cycle, seen from the first box; found without recursion."""
    leaving: dict[str, list[int]] = {name: [] for name in sizes}
    for index, line in enumerate(lines):
        leaving[line.source].append(index)
    back: set[int] = set()
    done: set[str] = set()
    for root in (first, *sizes):
        if root in done:
            continue
        open_path = [root]
        todo = [iter(leaving[root])]
        on_path = {root}
        while todo:
            following = next(todo[-1], None)
            if following is None:
                todo.pop()
                name = open_path.pop()
                on_path.discard(name)
                done.add(name)
                continue
            target = lines[following].target
            if target in on_path:
                back.add(following)
            elif target not in done:
                open_path.append(target)
                on_path.add(target)
                todo.append(iter(leaving[target]))
    return back


def _mean(place: _Place, neighbours: list[_Place]) -> tuple[float, int]:
    if not neighbours:
        return float(place.order), place.order
    return sum(each.order for each in neighbours) / len(neighbours), place.order


def _settle(row: list[_Place], sweep: int) -> None:
    """Move the places of a row to where their neighbours want them, keeping order and distance (pooled means)."""
    if not row:
        return
    offsets: list[float] = []
    at = 0.0
    for place in row:
        offsets.append(at)
        at += place.width + (GAP_X if place.width > 6.0 else GAP_X * 0.6)
    blocks: list[list[float]] = []  # [mean, weight, count]
    for place, offset in zip(row, offsets, strict=True):
        near = place.above if sweep % 2 == 0 else place.below
        near = near or place.above or place.below
        middle = sum(each.middle for each in near) / len(near) if near else place.middle
        blocks.append([middle - place.width / 2 - offset, 1.0 if place.is_box else 2.0, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, weight, count = blocks.pop()
            last = blocks[-1]
            last[0] = (last[0] * last[1] + mean * weight) / (last[1] + weight)
            last[1] += weight
            last[2] += count
    index = 0
    for mean, _, count in blocks:
        for _ in range(int(count)):
            row[index].left = mean + offsets[index]
            index += 1


def _count(used: dict[int, int], row: int) -> int:
    used[row] = used.get(row, 0) + 1
    return used[row] - 1


def _curve(x: float, y: float, to: float, top: float) -> str:
    if abs(to - x) < 0.5:
        return f"L{_n(to)},{_n(top)}"
    bend = (top - y) / 2
    return f"C{_n(x)},{_n(y + bend)} {_n(to)},{_n(top - bend)} {_n(to)},{_n(top)}"


def _n(value: float) -> str:
    """A coordinate with one digit, without a trailing zero."""
    return f"{value:.1f}".removesuffix(".0")
