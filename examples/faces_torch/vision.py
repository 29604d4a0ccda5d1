"""Pictures as arrays: features of small crops, windows over a whole picture, boxes. Only NumPy and Pillow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIZE = 25
"""Side of a crop in pixels, as in the training images."""

EDGES = np.array([1, 5, 10, 15, 20, 24])
"""Of the 5 x 5 cells of a crop; its border, whose gradients depend on what lies outside, belongs to none."""

BINS = 8
FEATURES = 512
"""Values per crop: 4 x 4 blocks of 2 x 2 cells with 8 directions each."""


@dataclass(frozen=True)
class Box:
    """Where something was found, in pixels of the picture, and how strongly."""

    left: int
    top: int
    right: int
    bottom: int
    score: float


@dataclass(frozen=True)
class View:
    """Windows of one size in a picture: `image` is the grey picture in 0..1, made so small that such a window has
    25 x 25 pixels there; `tops` and `lefts` are their corners in it, `scale` how much smaller it is."""

    image: np.ndarray
    tops: np.ndarray
    lefts: np.ndarray
    scale: float = 1.0

    def __len__(self) -> int:
        return len(self.tops)

    def some(self, count: int, random: np.random.Generator) -> View:
        """So many of the windows, chosen by chance."""
        chosen = random.integers(len(self), size=count)
        return replace(self, tops=self.tops[chosen], lefts=self.lefts[chosen])

    def boxes(self) -> np.ndarray:
        """Left, top, right, bottom of each window in the picture."""
        return np.stack([self.lefts, self.tops, self.lefts + SIZE, self.tops + SIZE], 1) * self.scale

    def crops(self) -> np.ndarray:
        """(n, 25, 25): a copy of each window."""
        return np.lib.stride_tricks.sliding_window_view(self.image, (SIZE, SIZE))[self.tops, self.lefts]

    def batches(self, size: int = 4096) -> Iterator[np.ndarray]:
        """The crops, at most so many at a time."""
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            yield replace(self, tops=self.tops[part], lefts=self.lefts[part]).crops()

    def features(self) -> np.ndarray:
        """(n, 512): histograms of oriented gradients of each window. Sums over the whole image give those of every cell
        at once, so a window costs no more than its 36 corners."""
        sums = _summed(_votes(self.image))
        parts = [
            _blocks(sums, self.tops[start : start + 4096], self.lefts[start : start + 4096])
            for start in range(0, len(self), 4096)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, FEATURES), np.float32)


def hog(crops: np.ndarray) -> np.ndarray:
    """Histograms of oriented gradients: (n, 25, 25) grey crops in 0..1 become (n, 512) features."""
    tops = np.arange(len(crops)) * SIZE
    return View(np.ascontiguousarray(crops, np.float32).reshape(-1, SIZE), tops, np.zeros_like(tops)).features()


def augmented(crops: np.ndarray) -> np.ndarray:
    """Each crop as it is, shifted, turned a little, nearer, farther, brighter, darker; all that mirrored too."""
    moves = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, -1))
    variants = [shifted(crops, down, right) for down, right in moves]
    variants += [_each(crops, lambda image, angle=angle: image.rotate(angle, _SMOOTH)) for angle in (-10, 10)]
    variants += [_resized(crops[:, 2:-2, 2:-2]), _resized(np.pad(crops, ((0, 0), (2, 2), (2, 2)), "edge"))]
    variants += [np.clip(crops * 1.4, 0, 1), crops * 0.6]
    variants += [variant[:, :, ::-1] for variant in variants]
    return np.concatenate(variants).astype(np.float32)


def scrambled(faces: np.ndarray) -> np.ndarray:
    """What is made of face parts and is no face: turned over, cut off, pieces swapped, single features enlarged."""
    variants = [faces[:, ::-1], np.rot90(faces, 1, (1, 2)), np.rot90(faces, -1, (1, 2))]
    moves = ((10, 0), (-10, 0), (0, 10), (0, -10), (7, 7), (-7, -7))
    variants += [shifted(faces, down, right) for down, right in moves]
    variants += [np.roll(faces, 12, axis=1), np.roll(faces, 12, axis=2)]
    blind = faces.copy()
    blind[:, 6:12] = faces[:, 6:12].mean((1, 2), keepdims=True)
    low, high = slice(0, 14), slice(-14, None)
    corners = ((low, low), (low, high), (high, low), (high, high), (slice(5, 19), slice(5, 19)))
    variants += [blind] + [_resized(faces[:, rows, columns]) for rows, columns in corners]
    return np.concatenate(variants).astype(np.float32)


def shifted(crops: np.ndarray, down: int, right: int) -> np.ndarray:
    """Crops moved by up to 10 pixels; the border mirrors what is inside."""
    padded = np.pad(crops, ((0, 0), (10, 10), (10, 10)), "reflect")
    return padded[:, 10 - down : 10 - down + SIZE, 10 - right : 10 - right + SIZE]


def named(name: str, *, most: int = 720) -> np.ndarray:
    """A picture that ships with scikit-image, in 8-bit grey and with at most so many pixels a side."""
    from skimage import data

    picture = getattr(data, name)()
    image = Image.fromarray(grey(picture[0] if isinstance(picture, tuple) else picture))
    image.thumbnail((most, most), Image.Resampling.BOX)
    return np.asarray(image)


def grey(picture: np.ndarray) -> np.ndarray:
    """Any picture as 8-bit grey."""
    if picture.dtype != np.uint8:
        picture = (np.asarray(picture, np.float32) * 255).astype(np.uint8)
    return np.asarray(Image.fromarray(picture).convert("L"))


def views(picture: np.ndarray, *, smallest: int = 40, step: int = 2) -> Iterator[View]:
    """All windows of a grey picture, from the smallest on, each size a quarter larger than the one before."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    scale = smallest / SIZE
    while min(image.size) / scale >= SIZE:
        width, height = int(image.width / scale), int(image.height / scale)
        small = np.asarray(image.resize((width, height), Image.Resampling.BOX), np.float32) / 255
        tops, lefts = np.mgrid[0 : height - SIZE + 1 : step, 0 : width - SIZE + 1 : step]
        yield View(small, tops.ravel(), lefts.ravel(), scale)
        scale *= 1.25


def sample(picture: np.ndarray, count: int, random: np.random.Generator) -> list[View]:
    """About so many windows of a grey picture, chosen by chance over all sizes."""
    every = list(views(picture, smallest=26))
    total = sum(map(len, every))
    return [view.some(round(count * len(view) / total), random) for view in every]


def scene(picture: np.ndarray, faces: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A grey picture with faces of many sizes pasted in, their borders blended, and the box of each."""
    cell, picture = 110, picture.copy()
    corners = [(y, x) for y in range(0, len(picture) - cell, cell) for x in range(0, picture.shape[1] - cell, cell)]
    boxes = []
    for face, place in zip(faces, random.permutation(len(corners)), strict=False):
        side = int(random.integers(45, 95))
        top, left = np.array(corners[place]) + random.integers(cell - side, size=2)
        large = np.asarray(Image.fromarray((face * 255).astype(np.uint8)).resize((side, side), _SMOOTH), np.float32)
        near = np.minimum(np.arange(side), np.arange(side)[::-1]) / (0.12 * side)
        share = np.clip(np.minimum.outer(near, near), 0, 1)
        there = picture[top : top + side, left : left + side]
        there[:] = (share * large + (1 - share) * there).astype(np.uint8)
        boxes.append((left, top, left + side, top + side))
    return picture, np.array(boxes, float).reshape(-1, 4)


def strengths(found: Sequence[Box], boxes: np.ndarray) -> list[float]:
    """How strongly each of the boxes was found; 0 where it was not."""
    places = np.array([(box.left, box.top, box.right, box.bottom) for box in found], float).reshape(-1, 4)
    scores = np.array([box.score for box in found])
    overlaps = (_overlap(places, box) for box in boxes)
    return [float(scores[shared / union > 0.3].max(initial=0.0)) for shared, union, _ in overlaps]


def clusters(boxes: np.ndarray, chances: np.ndarray, *, least: float = 0.5) -> list[Box]:
    """Non-maximum suppression that counts votes: windows that overlap the best one join it, and a cluster's score is
    the sum of their chances. A face answers in many neighbouring windows, noise in few. Strongest first."""
    kept = chances > least
    boxes, chances = boxes[kept], chances[kept]
    free = np.ones(len(boxes), bool)
    found = []
    for best in np.argsort(-chances, kind="stable"):
        if free[best]:
            shared, union, smaller = _overlap(boxes, boxes[best])
            near = shared / union > 0.3
            free &= shared / smaller <= 0.4
            left, top, right, bottom = np.average(boxes[near], axis=0, weights=chances[near] ** 2)
            found.append(Box(int(left), int(top), int(right), int(bottom), round(float(chances[near].sum()), 2)))
    return sorted(found, key=lambda box: -box.score)


def draw(picture: np.ndarray, boxes: Sequence[Box], path: Path) -> None:
    """The picture with its boxes, as a PNG."""
    image = Image.fromarray(picture).convert("RGB")
    pen = ImageDraw.Draw(image)
    for box in boxes:
        pen.rectangle((box.left, box.top, box.right, box.bottom), outline=(40, 255, 80), width=4)
        pen.text((box.left + 6, box.bottom + 4), f"face {box.score:.0f}", fill=(40, 255, 80))
    image.save(path)


def _votes(image: np.ndarray) -> np.ndarray:
    """(height, width, 8): how strongly each pixel's gradient points in each direction, opposite ones being one."""
    across, down = np.zeros_like(image), np.zeros_like(image)
    across[:, 1:-1] = image[:, 2:] - image[:, :-2]
    down[1:-1] = image[2:] - image[:-2]
    strength = np.hypot(across, down)
    direction = np.mod(np.arctan2(down, across) / np.pi, 1) * BINS
    away = np.abs(direction[..., None] - np.arange(BINS))
    return strength[..., None] * np.maximum(0, 1 - np.minimum(away, BINS - away))


def _summed(votes: np.ndarray) -> np.ndarray:
    """At each corner the sum of everything above and left of it."""
    sums = np.zeros((votes.shape[0] + 1, votes.shape[1] + 1, BINS))
    np.cumsum(np.cumsum(votes, axis=0), axis=1, out=sums[1:, 1:])
    return sums


def _blocks(sums: np.ndarray, tops: np.ndarray, lefts: np.ndarray) -> np.ndarray:
    """Features of windows: sums of 5 x 5 cells, in overlapping blocks of 2 x 2, each brought to one contrast."""
    corners = sums[(tops[:, None] + EDGES)[:, :, None], (lefts[:, None] + EDGES)[:, None, :]]
    cells = np.diff(np.diff(corners, axis=1), axis=2).astype(np.float32)
    blocks = np.concatenate([cells[:, y : y + 4, x : x + 4] for y in (0, 1) for x in (0, 1)], axis=-1)
    return (blocks / np.sqrt((blocks**2).sum(-1, keepdims=True) + 0.1)).reshape(len(tops), FEATURES)


_SMOOTH = Image.Resampling.BILINEAR


def _resized(crops: np.ndarray) -> np.ndarray:
    return _each(crops, lambda image: image.resize((SIZE, SIZE), _SMOOTH))


def _each(crops: np.ndarray, change) -> np.ndarray:
    images = (Image.fromarray(np.ascontiguousarray(crop, np.float32)) for crop in crops)
    return np.stack([np.asarray(change(image)) for image in images])


def _overlap(boxes: np.ndarray, one: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each box with one: the shared area, the area of both together, and the smaller of their areas."""
    low, high = np.maximum(boxes[:, :2], one[:2]), np.minimum(boxes[:, 2:], one[2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    area, own = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), np.prod(one[2:] - one[:2])
    return shared, area + own - shared, np.minimum(area, own)
