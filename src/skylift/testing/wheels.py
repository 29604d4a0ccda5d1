"""Packages small enough to be built by a test, in the format that installers take: nothing is fetched for them."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path


def make_wheel(
    folder: Path, name: str, version: str, source: str = "", *, requires: tuple[str, ...] = (), filler: int = 0
) -> str:
    """A wheel with one module `name`; what a requirements file says of it (`name @ file:///…`). `filler` is the size of
    a further file in it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    about = f"{name}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}", *(f"Requires-Dist: {r}" for r in requires)]
    files = {
        f"{name}.py": f"VERSION = {version!r}\n{source}".encode(),
        f"{about}/METADATA": ("\n".join(metadata) + "\n").encode(),
        f"{about}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if filler:
        files[f"{name}_data/filler"] = b"\0" * filler
    record = "".join(f"{file},sha256={_digest(data)},{len(data)}\n" for file, data in files.items())
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for file, data in files.items():
            wheel.writestr(file, data)
        wheel.writestr(f"{about}/RECORD", record + f"{about}/RECORD,,\n")
    return f"{name} @ {path.as_uri()}"


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
