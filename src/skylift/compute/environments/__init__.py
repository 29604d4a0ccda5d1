"""Packages of a task's own: from the document of an environment to an interpreter that has them.

`environment_python` is what backends ask for; `resolving` makes documents, `limits` says which of them fit where.
"""

from skylift.compute.environments.building import (
    EnvironmentFailed,
    built_size,
    drop_unused,
    environment_python,
    environment_root,
    read_spec,
    write_spec,
)
from skylift.compute.environments.ours import our_places

__all__ = [
    "EnvironmentFailed",
    "built_size",
    "drop_unused",
    "environment_python",
    "environment_root",
    "our_places",
    "read_spec",
    "write_spec",
]
