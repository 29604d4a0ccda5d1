"""Join a shop's orders, visits, products and returns, from several places, into one table of days.

    python examples/data/shop.py                          # makes the sources, serves them, runs, prints the ledger
    skylift run examples/data/shop.py --orders URL …      # the same on sources that are there already

Sources are cut into blocks of whole records, which small steps fetch and parse in parallel. One large step joins them.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from skylift import Block, parallel, pipeline, split, task


@dataclass
class Joined:
    orders: int
    returned: int
    visits: int
    revenue_cents: int
    table: pa.Table
    """By day and kind of product: cents, orders, visits."""


@dataclass
class Report:
    days: int
    orders: int
    returned: int
    visits: int
    revenue_cents: int
    table: str


@task(memory="512 MiB", retry=2)
def read_orders(block: Block) -> pa.Table:
    """Of the notes only whether there is one goes on: what need not travel stays here."""
    found = block.arrow()
    noted = pc.greater(pc.utf8_length(found["note"].cast(pa.string())), 0)
    return found.drop_columns(["note"]).append_column("noted", noted)


@task(memory="512 MiB", retry=2)
def count_visits(block: Block) -> pa.Table:
    """A visit is a line; what is needed of them is a number a day and kind."""
    visits = block.arrow(["day", "kind"])
    days = pa.table({"day": visits["day"].cast(pa.string()), "kind": visits["kind"]})
    return days.group_by(["day", "kind"]).aggregate([([], "count_all")])


@task(memory="512 MiB", retry=2)
def read_table(block: Block) -> pa.Table:
    return block.arrow()


@task(cpus=2, memory="1 GiB", timeout="10m")
def join(orders: list[pa.Table], visits: list[pa.Table], products: list[pa.Table], returns: list[pa.Table]) -> Joined:
    """The heavy step: all orders in memory at once."""
    sold = pa.concat_tables(orders).join(pa.concat_tables(products), "product", join_type="inner")
    kept = sold.join(pa.concat_tables(returns), "order", join_type="left anti")
    kept = kept.append_column("cents", pc.multiply(kept["price_cents"], kept["quantity"]))
    kept = kept.set_column(kept.schema.get_field_index("day"), "day", kept["day"].cast(pa.string()))
    days = kept.group_by(["day", "kind"]).aggregate([("cents", "sum"), ("order", "count")])
    seen = pa.concat_tables(visits).group_by(["day", "kind"]).aggregate([("count_all", "sum")])
    table = days.join(seen, ["day", "kind"], join_type="full outer")
    return Joined(
        orders=sold.num_rows,
        returned=sold.num_rows - kept.num_rows,
        visits=pc.sum(seen["count_all_sum"]).as_py(),
        revenue_cents=pc.sum(table["cents_sum"]).as_py(),
        table=table.sort_by([("day", "ascending"), ("kind", "ascending")]),
    )


@task
def write(joined: Joined, out: str) -> Report:
    """Where the run was started: a step that runs elsewhere has other folders."""
    import pyarrow.parquet as pq

    path = Path(out).absolute() / "days.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(joined.table, path)
    return Report(
        days=joined.table.num_rows,
        orders=joined.orders,
        returned=joined.returned,
        visits=joined.visits,
        revenue_cents=joined.revenue_cents,
        table=str(path),
    )


@pipeline
def shop(
    orders: list[str], visits: str, products: str, returns: str, block: str = "512 KiB", out: str = "data-out"
) -> Report:
    sold, seen, goods, back = parallel(
        [read_orders(part) for part in split(orders, block=block)],
        [count_visits(part) for part in split(visits, block=block)],
        [read_table(part) for part in split(products, block=block)],
        [read_table(part) for part in split(returns, block=block)],
    )
    return write(join(sold, seen, goods, back), out)


def main(folder: Path, orders: int) -> None:
    from ledger import ledger
    from sources import arguments, make, served

    made = make(folder / "data-in", orders)
    with served(folder / "data-in" / "web") as url:
        run = shop.start(**arguments(url, folder / "data-in"), out=str(folder / "data-out"))
        report = run.result()
    if (report.orders, report.returned, report.visits) != (made.orders, made.returned, made.visits):
        sys.exit(f"records were lost or counted twice: {report}, not {made}")
    print(ledger(run))
    print(f"{report.orders} orders, {report.returned} of them sent back, {report.visits} visits")
    print(f"revenue {report.revenue_cents / 100:.2f}, as it must be: {report.revenue_cents == made.revenue_cents}")
    print(f"table   {report.table}, {report.days} rows")


if __name__ == "__main__":
    main(Path.cwd(), int(sys.argv[1]) if len(sys.argv) > 1 else 60_000)
