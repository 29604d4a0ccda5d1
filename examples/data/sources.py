"""Makes the sources of the example, and serves some of them over HTTP on this machine.

    python sources.py data-in          # make them, serve them until Ctrl-C, print what to run

Nothing is downloaded: the shop, its customers and what they say are made up from a seed.
"""

from __future__ import annotations

import csv
import hashlib
import json
import random
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MONTHS = ("2026-01", "2026-02", "2026-03")
KINDS = ("garden", "kitchen", "office", "toys")
NOTES = (
    "",
    "",
    "please ring twice",
    'the "blue" one, thanks',
    "leave it\nat the back door,\nplease",
    "für Zoë, 5€ tip",
)


@dataclass
class Made:
    """What was made, and what must come out."""

    orders: int
    visits: int
    returned: int
    revenue_cents: int
    """Of what was not sent back."""


def make(folder: Path, orders: int = 60_000, seed: int = 1) -> Made:
    """Below `web/` three CSV files of orders, JSON Lines of visits, Parquet of products; below `returns/` a folder."""
    chance = random.Random(seed)
    web, returns = folder / "web", folder / "returns"
    for place in (web, returns):
        place.mkdir(parents=True, exist_ok=True)
    prices = _make_products(web / "products.parquet", chance)
    bought = _make_orders(web, orders, prices, chance)
    back = [number for number in bought if chance.random() < 0.05]
    _make_returns(returns, back)
    visits = _make_visits(web / "visits.jsonl", orders * 2, chance)
    kept = sum(bought.values()) - sum(bought[number] for number in back)
    return Made(orders=orders, visits=visits, returned=len(back), revenue_cents=kept)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """`folder` at the URL that this gives, with ranges and ETags as any web server has them."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(folder))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def arguments(url: str, folder: Path) -> dict[str, Any]:
    """What the pipeline is given."""
    return {
        "orders": [f"{url}/orders-{month}.csv" for month in MONTHS],
        "visits": f"{url}/visits.jsonl",
        "products": f"{url}/products.parquet",
        "returns": str(folder / "returns"),
    }


def _make_products(path: Path, chance: random.Random) -> list[int]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    prices = [chance.randrange(199, 9_999) for _ in range(500)]
    table = pa.table(
        {
            "product": pa.array(range(len(prices)), pa.int64()),
            "kind": [KINDS[number % len(KINDS)] for number in range(len(prices))],
            "price_cents": pa.array(prices, pa.int64()),
        }
    )
    pq.write_table(table, path, row_group_size=100)
    return prices


def _make_orders(web: Path, orders: int, prices: list[int], chance: random.Random) -> dict[int, int]:
    """What each order was worth. A note may hold commas, quotes and newlines: that is what CSV is like."""
    worth = {}
    for index, month in enumerate(MONTHS):
        start = date.fromisoformat(f"{month}-01")
        with (web / f"orders-{month}.csv").open("w", newline="", encoding="utf-8") as file:
            out = csv.writer(file)
            out.writerow(["order", "day", "product", "quantity", "note"])
            for number in range(index, orders, len(MONTHS)):
                product, quantity = chance.randrange(len(prices)), chance.randrange(1, 4)
                worth[number] = prices[product] * quantity
                day = start + timedelta(days=chance.randrange(28))
                out.writerow([number, day.isoformat(), product, quantity, chance.choice(NOTES)])
    return worth


def _make_returns(folder: Path, orders: list[int]) -> None:
    for index in range(4):
        with (folder / f"returns-{index}.csv").open("w", newline="", encoding="utf-8") as file:
            out = csv.writer(file)
            out.writerow(["order"])
            out.writerows([number] for number in orders[index::4])


def _make_visits(path: Path, visits: int, chance: random.Random) -> int:
    start = date.fromisoformat(f"{MONTHS[0]}-01")
    with path.open("w", encoding="utf-8") as file:
        for number in range(visits):
            day = start + timedelta(days=chance.randrange(87))
            page = {"visit": number, "day": day.isoformat(), "kind": chance.choice(KINDS), "seconds": chance.random()}
            file.write(json.dumps(page) + "\n")
    return visits


def _handler(folder: Path) -> type[BaseHTTPRequestHandler]:
    tags: dict[Path, str] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = folder / Path(self.path).name
            if not path.is_file():
                self.send_error(404)
                return
            size = path.stat().st_size
            start, end = 0, size
            wanted = self.headers.get("Range", "")
            if wanted.startswith("bytes="):
                first, _, last = wanted[6:].partition("-")
                start, end = int(first), min(int(last or size - 1) + 1, size)
            self.send_response(206 if wanted else 200)
            self.send_header("ETag", tags.setdefault(path, f'"{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"'))
            self.send_header("Content-Length", str(end - start))
            if wanted:
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
            self.end_headers()
            with path.open("rb") as file:
                file.seek(start)
                self.wfile.write(file.read(end - start))

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


def main(folder: Path) -> None:
    made = make(folder)
    print(f"{made.orders} orders, {made.returned} of them sent back, {made.visits} visits: {folder}")
    with served(folder / "web") as url:
        values = arguments(url, folder)
        given = " ".join(
            f"--{name} {' '.join(value) if isinstance(value, list) else value}" for name, value in values.items()
        )
        print(f"skylift run {Path(__file__).with_name('shop.py')} {given}")
        threading.Event().wait()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "data-in").absolute())
