"""The store over one PostgreSQL schema: journal, resources and leases."""

from __future__ import annotations

from typing import Literal

from skylift.errors import SetupError
from skylift.stores.postgres.address import read_address
from skylift.stores.postgres.connection import Readers
from skylift.stores.postgres.journal import PostgresJournal
from skylift.stores.postgres.leases import Engines, PostgresLease
from skylift.stores.postgres.resources import PostgresResources
from skylift.stores.postgres.schema import prepare
from skylift.stores.postgres.writer import Writer


class PostgresStore:
    """Makes the schema where there is none. Raises JournalUnavailable where the database cannot be used."""

    def __init__(self, url: str, durability: Literal["normal", "full"] = "normal") -> None:
        if durability not in ("normal", "full"):
            raise SetupError(
                f"durability must be 'normal' or 'full', not {durability!r}", hint="see `durability` in skylift.toml"
            )
        self._address = read_address(url)
        self.place = self._address.place
        prepare(self._address)
        readers = Readers(self._address)
        others = Writer(self._address, durability)
        self.journal = PostgresJournal(self._address, readers, Writer(self._address, durability), others)
        self.resources = PostgresResources(self._address, readers, others)
        self._engines = Engines(readers)

    def ownership(self) -> PostgresLease:
        return PostgresLease(self._address, self._engines)

    def is_alive(self, owner: str) -> bool:
        return self._engines.is_alive(owner)

    def any_alive(self) -> bool:
        return self._engines.any_alive()

    def close(self) -> None:
        self.journal.close()
