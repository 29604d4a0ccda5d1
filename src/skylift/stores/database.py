"""What holds a project's runs: the journal, the resources beside it, and who drives what, in one database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from skylift.stores.ownership import EngineLock, any_alive, is_alive
from skylift.stores.sqlite import SqliteJournal
from skylift.stores.sqlite_file import Durability, SqliteFile
from skylift.stores.sqlite_resources import SqliteResources

if TYPE_CHECKING:
    from skylift.ports.journal import Journal
    from skylift.ports.ownership import Ownership
    from skylift.ports.resources import ResourceStore


class Store(Protocol):
    """Opened by `skylift.stores.open.open_store`. Thread-safe; `close` it when its engine has ended."""

    @property
    def journal(self) -> Journal: ...

    @property
    def resources(self) -> ResourceStore: ...

    @property
    def place(self) -> str:
        """For people, without secrets."""
        ...

    def ownership(self) -> Ownership:
        """Of a new engine, which lives from now on; `release` it before the store is closed."""
        ...

    def is_alive(self, owner: str) -> bool:
        """Does an engine of this name live? In doubt yes. Needs no engine of one's own."""
        ...

    def any_alive(self) -> bool:
        """Does any engine that uses this store live? In doubt yes."""
        ...

    def close(self) -> None: ...


class SqliteStore:
    """One SQLite file, with the locks of its engines in the folder beside it."""

    def __init__(self, path: Path, durability: Durability = "normal") -> None:
        self._home = path.parent
        self._file = SqliteFile(path, durability)
        self.place = str(path)
        self.journal = SqliteJournal(self._file)
        self.resources = SqliteResources(self._file)

    def ownership(self) -> EngineLock:
        return EngineLock.acquire(self._home)

    def is_alive(self, owner: str) -> bool:
        return is_alive(self._home, owner)

    def any_alive(self) -> bool:
        return any_alive(self._home)

    def close(self) -> None:
        self._file.close()
