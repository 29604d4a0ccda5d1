"""`python -m skylift.compute.jobs.handler MODULE:FUNCTION`: a Python function as a job's program.

The parameters come in SKYLIFT_JOB_PARAMETERS. What the function raises is printed and is exit status 1; a number that
it returns is the exit status.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback

PARAMETERS = "SKYLIFT_JOB_PARAMETERS"


def main() -> int:
    module, _, name = sys.argv[1].partition(":")
    sys.path.insert(0, os.getcwd())  # noqa: PTH109
    parameters = json.loads(os.environ.pop(PARAMETERS, "{}"))
    try:
        result = getattr(importlib.import_module(module), name)(parameters)
    except Exception:  # noqa: BLE001 - the job's failure
        traceback.print_exc()
        return 1
    return result if isinstance(result, int) and not isinstance(result, bool) else 0


if __name__ == "__main__":
    sys.exit(main())
