"""What a store's URL says: which database, which schema of it, and how to name it without the password."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from skylift.errors import SetupError

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_FORM = "use postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with ?schema=NAME for another schema than skylift"


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Of a database and a schema in it."""

    settings: dict[str, str]
    """For the connection; may hold a password."""
    schema: str
    place: str
    """For people."""


def read_address(url: str) -> Address:
    """Raises SetupError, which never shows the URL: it may hold a password."""
    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
        rest = urlencode([pair for pair in query if pair[0] != "schema"])
        given = conninfo_to_dict(urlunsplit(parts._replace(scheme="postgresql", query=rest)))
    except (ProgrammingError, ValueError, UnicodeError):
        raise SetupError("the PostgreSQL store's URL cannot be read", hint=_FORM) from None
    schema = dict(query).get("schema", "skylift")
    if not _SCHEMA.fullmatch(schema) or schema.startswith("pg_"):
        raise SetupError(
            f"the PostgreSQL store's schema is named {schema!r}",
            hint="use small letters, digits and underscores, beginning with a letter, but not with pg_",
        )
    settings = {name: str(value) for name, value in given.items() if value is not None}
    return Address(settings=settings, schema=schema, place=_place(settings, schema))


def _place(settings: dict[str, str], schema: str) -> str:
    host, port = settings.get("host", "localhost"), settings.get("port", "5432")
    where = f"{host}:{port}/{settings.get('dbname', settings.get('user', ''))}"
    return f"PostgreSQL database {where}" + ("" if schema == "skylift" else f", schema {schema}")
