"""What SageMaker's training toolkit tells programs in variables: scripts written for it read these."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def toolkit_variables(
    root: Path, hyper: dict[str, str], channels: dict[str, Any], host: dict[str, Any]
) -> dict[str, str]:
    """`hyper`, `channels` and `host` are what the three files of the configuration hold. As the toolkit does, values of
    hyperparameters that are JSON are taken for what they stand for, in SM_HPS and SM_HP_…; the files have texts."""
    names = sorted(channels)
    values = {name: _decoded(value) for name, value in hyper.items()}
    told = {
        "SM_ROOT": str(root),
        "SM_MODEL_DIR": str(root / "model"),
        "SM_OUTPUT_DIR": str(root / "output"),
        "SM_OUTPUT_DATA_DIR": str(root / "output" / "data"),
        "SM_CHECKPOINT_DIR": str(root / "checkpoints"),
        "SM_INPUT_DIR": str(root / "input"),
        "SM_INPUT_CONFIG_DIR": str(root / "input" / "config"),
        "SM_CHANNELS": _text(names),
        "SM_HPS": _text(values),
        "SM_USER_ARGS": _text(_arguments(values)),
        "SM_HOSTS": _text(host["hosts"]),
        "SM_CURRENT_HOST": host["current_host"],
        "SM_CURRENT_INSTANCE_TYPE": host["current_instance_type"],
        "SM_NETWORK_INTERFACE_NAME": host["network_interface_name"],
        "SM_RESOURCE_CONFIG": _text(host),
        "SM_INPUT_DATA_CONFIG": _text(channels),
        "SM_NUM_CPUS": str(os.cpu_count() or 1),
        "SM_NUM_GPUS": str(_gpus()),
        "SM_LOG_LEVEL": "20",
        **{f"SM_CHANNEL_{name.upper()}": str(root / "input" / "data" / name) for name in names},
        **{f"SM_HP_{name.upper()}": _text(value) for name, value in values.items()},
    }
    return {name: value for name, value in told.items() if "=" not in name and "\0" not in name + value}


def _decoded(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, sort_keys=True, separators=(",", ":"))


def _arguments(values: dict[str, Any]) -> list[str]:
    """Hyperparameters as options of a command line: `--epochs 6`."""
    return [
        word for name in sorted(values) for word in (f"--{name}" if len(name) > 1 else f"-{name}", str(values[name]))
    ]


def _gpus() -> int:
    """Those that this attempt may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([one for one in visible.split(",") if one.strip() not in ("", "-1", "NoDevFiles")])
    return len(list(Path("/dev").glob("nvidia[0-9]*")))
