"""Pictures as arrays: features of small crops, windows over a whole picture, boxes. Only NumPy and Pillow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIZE = 25
"""Side of a crop in pixels, as in the training images."""

CELL = 5
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


def hog(crops: np.ndarray) -> np.ndarray:
    """Histograms of oriented gradients: (n, 25, 25) grey crops in 0..1 become (n, 512) features."""
    n = len(crops)
    if n == 0:
        return np.zeros((0, FEATURES), np.float32)
    crops = crops.astype(np.float32)
    across, down = np.zeros_like(crops), np.zeros_like(crops)
    across[:, :, 1:-1] = crops[:, :, 2:] - crops[:, :, :-2]
    down[:, 1:-1, :] = crops[:, 2:, :] - crops[:, :-2, :]
    strength = np.hypot(across, down)
    direction = np.mod(np.arctan2(down, across) / np.pi, 1) * BINS
    lower = direction.astype(np.int64)
    share = direction - lower
    cell = np.arange(SIZE) // CELL
    first = (np.arange(n)[:, None, None] * 25 + cell[:, None] * 5 + cell) * BINS
    votes = np.bincount((first + lower % BINS).ravel(), (strength * (1 - share)).ravel(), n * 25 * BINS)
    votes += np.bincount((first + (lower + 1) % BINS).ravel(), (strength * share).ravel(), n * 25 * BINS)
    cells = votes.astype(np.float32).reshape(n, 5, 5, BINS)
    blocks = np.concatenate([cells[:, y : y + 4, x : x + 4] for y in (0, 1) for x in (0, 1)], axis=-1)
    return (blocks / np.sqrt((blocks**2).sum(-1, keepdims=True) + 0.1)).reshape(n, FEATURES)


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


def grey(picture: np.ndarray) -> np.ndarray:
    """Any picture as 8-bit grey."""
    if picture.dtype != np.uint8:
        picture = (np.asarray(picture, np.float32) * 255).astype(np.uint8)
    return np.asarray(Image.fromarray(picture).convert("L"))


def windows(picture: np.ndarray, *, smallest: int = 40, step: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """All crops of a grey picture at all scales, and the box (left, top, right, bottom) of each in the picture."""
    crops, boxes = [], []
    for scale, view in _scales(picture, smallest, step):
        rows, columns = view.shape[:2]
        crops.append(view.reshape(-1, SIZE, SIZE))
        y, x = np.divmod(np.arange(rows * columns), columns)
        corner = np.stack([x, y, x, y], 1) * step
        boxes.append((corner + np.array([0, 0, SIZE, SIZE])) * scale)
    return np.concatenate(crops), np.concatenate(boxes)


def sample(picture: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """About so many crops of a grey picture, chosen by chance over all scales."""
    views = [view for _, view in _scales(picture, 26, 2)]
    total = sum(view.shape[0] * view.shape[1] for view in views)
    chosen = []
    for view in views:
        rows, columns = view.shape[:2]
        some = round(count * rows * columns / total)
        chosen.append(view[random.integers(rows, size=some), random.integers(columns, size=some)])
    return np.concatenate(chosen)


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


def _scales(picture: np.ndarray, smallest: int, step: int) -> Iterator[tuple[float, np.ndarray]]:
    """Scale, and the windows there as a view (rows, columns, 25, 25) that copies nothing."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    scale = smallest / SIZE
    while min(image.size) / scale >= SIZE:
        size = (int(image.width / scale), int(image.height / scale))
        small = np.asarray(image.resize(size, Image.Resampling.BOX), np.float32) / 255
        yield scale, np.lib.stride_tricks.sliding_window_view(small, (SIZE, SIZE))[::step, ::step]
        scale *= 1.25


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
