"""Where definitions may read items from and write results to: an administrator's lists, for the runs of an account."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """Account "" is the user of this machine, who may read and write what he may anyway."""

    folders: tuple[str, ...] = ()
    """`[server] allow_paths`: these and everything below."""
    services: tuple[str, ...] = ()
    """`[server] allow_services`: patterns such as `s3:getObject` or `s3:*`."""
    endpoint_url: str | None = None
    """Of S3; None for AWS itself."""
    region: str | None = None

    def allows_folder(self, path: Path) -> bool:
        """`path` with its links followed."""
        if "\0" in str(path):
            return False
        real = path.resolve()
        return any(real.is_relative_to(Path(folder).resolve()) for folder in self.folders)

    def allows(self, action: str) -> bool:
        """`s3:getObject`."""
        return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in self.services)

    def s3_options(self) -> dict[str, Any]:
        """For fsspec's S3 file system."""
        options: dict[str, Any] = {}
        if self.endpoint_url is not None:
            options["endpoint_url"] = self.endpoint_url
        if self.region is not None:
            options["client_kwargs"] = {"region_name": self.region}
        return options
