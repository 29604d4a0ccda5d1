"""Which sources a URL, a folder or a pattern means."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from skylift.blocks.compressed import split_suffix
from skylift.blocks.errors import SourceInvalid, SourceUnavailable
from skylift.blocks.origins import local_path
from skylift.errors import SkyliftError

FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".txt": "text",
    ".log": "text",
}


def sources(url: str, *, every: bool) -> list[str]:
    """Files in the order of their names; local ones by their whole path. `every`: also those whose names tell no
    format. Raises SourceUnavailable where there is none."""
    path = local_path(url)
    if path is not None:
        found = [str(one) for one in _local(path)]
    elif url.startswith(("http://", "https://")):
        return [url]
    else:
        found = _remote(url)
    if len(found) == 1 and not _is_pattern(url):
        return found
    asked = _hidden(url if path is None else str(path.absolute()))
    chosen = [one for one in found if _wanted(one, asked) and (every or format_of(one) is not None)]
    if not chosen:
        raise SourceUnavailable(
            f"{url} means no source: {len(found)} files, none of a known format",
            hint=f"formats are told by {', '.join(FORMATS)}, also with .gz, .bz2, .xz or .zst; else name format=",
        )
    return sorted(chosen)


def format_of(url: str) -> str | None:
    """As the name tells it."""
    name, _ = split_suffix(name_of(url))
    return FORMATS.get(PurePosixPath(name).suffix.lower())


def name_of(url: str) -> str:
    """The last part of the path, without a query."""
    return PurePosixPath(urlsplit(url).path if "://" in url else url).name


def check_allowed(url: str, allow: Sequence[str]) -> None:
    """Raises SourceInvalid for a source that is in none of these folders and URLs."""
    if not any(_within(url, place) for place in allow):
        raise SourceInvalid(f"{url} is not in {', '.join(allow) or 'any allowed place'}", hint="see allow= of split")


def _within(url: str, place: str) -> bool:
    path, folder = local_path(url), local_path(place)
    if path is not None or folder is not None:
        return path is not None and folder is not None and path.resolve().is_relative_to(folder.resolve())
    there, allowed = urlsplit(url), urlsplit(place)
    if (there.scheme, there.netloc) != (allowed.scheme, allowed.netloc) or ".." in there.path.split("/"):
        return False
    folder_path = allowed.path.rstrip("/")
    return there.path == folder_path or there.path.startswith(folder_path + "/")


def _local(path: Path) -> list[Path]:
    whole = path.absolute()
    if whole.is_dir():
        return [one for one in whole.rglob("*") if one.is_file()]
    if whole.exists():
        return [whole]
    if _is_pattern(str(path)):
        return [Path(one) for one in glob.glob(str(whole), recursive=True) if Path(one).is_file()]  # noqa: PTH207
    raise SourceUnavailable(
        f"{whole} is not there",
        hint="a path means a file of the machine where the step runs; use a URL that all machines can read",
    )


def _remote(url: str) -> list[str]:
    from skylift.blocks.remote import open_system

    system, path = open_system(url)
    try:
        if _is_pattern(url):
            return [str(system.unstrip_protocol(one)) for one in system.glob(path)]
        if url.endswith("/") or (format_of(url) is None and system.isdir(path)):
            return [str(system.unstrip_protocol(one)) for one in system.find(path)]
    except SkyliftError:
        raise
    except Exception as error:  # whatever the store's client raises
        raise SourceUnavailable(
            f"{url} cannot be listed: {type(error).__name__}: {error}",
            hint="check the name, the network and the rights of whoever runs the step",
        ) from error
    return [url]


def _is_pattern(url: str) -> bool:
    return not url.startswith(("http://", "https://")) and any(character in url for character in "*?[")


def _hidden(place: str) -> list[str]:
    """Parts of a path that begin with `_` or `.`."""
    return [part for part in place.partition("://")[2 if "://" in place else 0].split("/") if part[:1] in ("_", ".")]


def _wanted(place: str, asked: list[str]) -> bool:
    """Not what writers leave beside the data, unless it was asked for: `_SUCCESS`, `.crc`, whole folders such as those
    of `_temporary/0/part-0.csv` and `.ipynb_checkpoints/faces.csv`."""
    return all(part in asked or any(fnmatchcase(part, one) for one in asked) for part in _hidden(place))
