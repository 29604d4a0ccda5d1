"""From a URL to a store."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from skylift.errors import SetupError
from skylift.ports.journal import Batch
from skylift.stores.open import open_store, store_file
from skylift.testing.journals import record


def test_none_is_the_journal_of_the_home(tmp_path: Path) -> None:
    store = open_store(None, home=tmp_path / "home")
    store.journal.commit(Batch(owner="me", created=[record()]))
    store.resources.put("k", "a", b"1")
    lease = store.ownership()
    assert store.is_alive(lease.owner)
    assert store.any_alive()
    lease.release()
    assert not store.is_alive(lease.owner)
    assert not store.any_alive()
    assert (tmp_path / "home" / "journal.db").exists()
    assert store.place == str(tmp_path / "home" / "journal.db")
    store.close()


def test_an_sqlite_url_is_relative_or_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url, path in (
        ("sqlite:///runs.db", tmp_path / "runs.db"),
        ("sqlite:///sub/my%20runs.db", tmp_path / "sub" / "my runs.db"),
        (f"sqlite:///{tmp_path}/absolute.db", tmp_path / "absolute.db"),
    ):
        store = open_store(url, home=tmp_path / "home")
        store.journal.commit(Batch(owner="me", created=[record()]))
        store.close()
        assert path.exists()
        assert store_file(url, tmp_path) == path
    assert not (tmp_path / "home").exists()


def test_engines_of_one_file_see_each_other_from_every_home(tmp_path: Path) -> None:
    """Locks lie beside the database: two projects that share it must not take each other's engines for dead."""
    url = f"sqlite:///{tmp_path}/shared/runs.db"
    one, other = open_store(url, home=tmp_path / "a"), open_store(url, home=tmp_path / "b")
    lease = one.ownership()
    assert other.is_alive(lease.owner)
    lease.release()
    assert not other.is_alive(lease.owner)
    one.close()
    other.close()


@pytest.mark.parametrize(
    "url",
    [
        "mysql://user:s3cret@host/db",
        "s3cret",
        "",
        "sqlite://runs.db",
        "sqlite:///",
        "sqlite:///folder/",
        "sqlite:///a.db?mode=s3cret",
        "sqlite:runs.db",
    ],
)
def test_what_names_no_store_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(SetupError) as caught:
        open_store(url, home=tmp_path)
    assert "s3cret" not in caught.value.message
    assert "sqlite:///FILE" in (caught.value.hint or "")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: Any = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "psycopg" else found(name))
    with pytest.raises(SetupError, match="psycopg") as caught:
        open_store("postgresql://user:s3cret@host/db", home=tmp_path)
    assert "skylift[postgres]" in (caught.value.hint or "")


def test_a_local_store_does_not_load_psycopg(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from skylift.stores.open import open_store; "
        "open_store(None, home=Path(sys.argv[1])).close(); print('psycopg' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
