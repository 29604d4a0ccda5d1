"""`skylift keys`: who may use a server. Works on the server's store, not over its API."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
import msgspec

from skylift.cli.extras import check_installed
from skylift.cli.output import counted, iso, json_option, print_json, print_table, when

if TYPE_CHECKING:
    from skylift.server.auth.keys import Keys

store_option = click.option("--store", metavar="URL", help="The server's store.  [default: as for skylift server]")


@click.group()
def keys() -> None:
    """Make, list and revoke the access keys of a server."""
    check_installed("keys need", ("cryptography",), "serve")


@keys.command()
@click.option("--account", default="123456789012", show_default=True, help="Whose key it is, 12 digits.")
@click.option(
    "--role",
    type=click.Choice(["viewer", "operator", "admin"]),
    default="operator",
    show_default=True,
    help="What it may do.",
)
@click.option("--name", default="", help="For people.")
@store_option
@json_option
def create(account: str, role: str, name: str, store: str | None, as_json: bool) -> None:
    """Make a key. Its secret is shown this once and cannot be read again."""
    from skylift.server.caller import Role

    with _open_keys(store) as keys:
        issued = keys.create(account=account, role=Role[role.upper()], name=name, now_ms=time.time_ns() // 1_000_000)
    if as_json:
        print_json({"key_id": issued.key_id, "secret": issued.secret, **_facts(issued)})
        return
    click.echo(f"export AWS_ACCESS_KEY_ID={issued.key_id}")
    click.echo(f"export AWS_SECRET_ACCESS_KEY={issued.secret}")
    click.echo(f"role {role} in account {account}; the secret is not shown again", err=True)


@keys.command(name="list")
@store_option
@json_option
def list_(store: str | None, as_json: bool) -> None:
    """The keys there are, oldest first, without their secrets."""
    with _open_keys(store) as keys:
        found = keys.all()
    if as_json:
        print_json([{"key_id": key.key_id, **_facts(key), "last_used": iso(key.last_used_ms)} for key in found])
        return
    print_table(
        ("KEY", "ACCOUNT", "ROLE", "NAME", "CREATED", "LAST USED"),
        [
            (key.key_id, key.account, key.role.name.lower(), key.name, when(key.created_ms), when(key.last_used_ms))
            for key in found
        ],
        empty="no keys",
    )


@keys.command()
@click.argument("key_id", metavar="KEY")
@store_option
def revoke(key_id: str, store: str | None) -> None:
    """Make a key useless, within a second in every server process."""
    with _open_keys(store) as keys:
        keys.revoke(key_id)
    click.echo(f"revoked {key_id}")


@keys.command()
def master() -> None:
    """Print a new master key, for SKYLIFT_MASTER_KEY."""
    from skylift.server.auth.sealing import new_master_key

    click.echo(new_master_key())


@keys.command()
@store_option
def reseal(store: str | None) -> None:
    """Encrypt all secrets anew, after the master key has changed."""
    with _open_keys(store) as keys:
        click.echo(f"encrypted the secrets of {counted(keys.seal_again(), 'key')} anew")


@contextmanager
def _open_keys(store: str | None) -> Iterator[Keys]:
    from skylift.config import load_config
    from skylift.runtime import Runtime
    from skylift.server.auth.keys import Keys
    from skylift.server.auth.sealing import open_sealer

    config = load_config()
    if store is not None:
        config = msgspec.structs.replace(config, store=store)
    with Runtime(config) as runtime:
        yield Keys(runtime.resources, lambda: open_sealer(config.home))


def _facts(key: Any) -> dict[str, str | None]:
    return {
        "account": key.account,
        "role": key.role.name.lower(),
        "name": key.name,
        "created": iso(key.created_ms),
    }
