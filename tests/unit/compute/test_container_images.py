"""Our own image is built once, however many projects want it at the same moment."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import IO, Any

import pytest

from skylift.compute.container import rootfs
from skylift.compute.container.images import Images


class Engine:
    """Keeps the images of all projects of a user, as podman does."""

    def __init__(self) -> None:
        self.builds = 0
        self._both = threading.Barrier(2)
        self._asked = threading.local()

    def image_id(self, tag: str) -> str | None:
        if not getattr(self._asked, "once", False):
            self._asked.once = True
            self._both.wait(60)  # neither begins before the other one has seen that there is none
        return "id" if self.builds else None

    def import_image(self, archive: IO[bytes], tag: str, changes: Any) -> None:
        archive.read()
        self.builds += 1


def built_at_once(projects: list[Path]) -> int:
    engine = Engine()
    threads = [threading.Thread(target=Images(engine, path).find, args=(None,)) for path in projects]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return engine.builds


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rootfs, "write_archive", lambda out: None)


def test_two_projects_build_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert built_at_once([tmp_path / "one", tmp_path / "two"]) == 1


def test_one_project_does_where_the_user_has_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert built_at_once([tmp_path / "one", tmp_path / "one"]) == 1
    assert (tmp_path / "one" / "image.lock").exists()
