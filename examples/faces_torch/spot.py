"""The network trained on spot machines of a simulated cloud that are taken away, and on one that stays: the same bits.

    python examples/faces_torch/spot.py

At each preemption of the trace the training is really killed (SIGKILL), and goes on from its last checkpoint when the
market gives the next machine. Time is compressed: 20 minutes of the cloud pass in one second here.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from faces_torch import Part, Shard, prepare
from network import Settings, fit

from skylift import parallel, pipeline, task

HERE = Path(__file__).resolve().parent
TRACES = HERE.parents[2] / "shared/data/spot_traces.json"
TRACE = "aws-10-26-2022/us-west-2b_v100_1"
SPEED = 1200
EPOCHS = 64
MTBF = {"SKYLIFT_MTBF": "8s"}
"""As these machines are taken away after 2.7 hours on average: in our seconds."""


@pipeline
def trained_twice(epochs: int = EPOCHS, seed: int = 7) -> list[str]:
    """The digests of the weights, from a machine that stays and from those that come and go.

    epochs: of each training
    seed: of weights, order and dropout
    """
    images = pictures()
    steady, spot = parallel(train(images, epochs, seed), train_on_spot(images, epochs, seed))
    return [steady, spot]


@task(on="process")
def pictures() -> Part:
    """The training images, as the pipeline prepares them."""
    numbers = np.random.default_rng(7).permutation(200)[:110].tolist()
    return prepare(Shard("train", numbers))


@task(on="simulated", gpu="V100", env=MTBF)
def train(images: Part, epochs: int, seed: int) -> str:
    weights, _ = fit(images.crops, images.labels, Settings("spot", channels=8, rate=0.003, epochs=epochs), seed)
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(weights[name].tobytes())
    return digest.hexdigest()


train_on_spot = train.with_options(spot=True, name="train_on_spot")


def main(arguments: Sequence[str]) -> int:
    from table import print_table

    from skylift.config import load_config
    from skylift.config.backends import SimulatedSettings
    from skylift.runtime import Runtime
    from skylift.sdk.submission import pipeline_submission

    options = _options(arguments)
    market = {"traces": str(options.traces), "trace": options.trace} if options.traces.exists() else {"up": "160m"}
    settings = SimulatedSettings(**market, services=("batch",), speed=str(options.speed))
    with (
        tempfile.TemporaryDirectory(prefix="faces-spot-") as home,
        Runtime(_with(load_config(HERE, home=Path(home)), settings)) as runtime,
    ):
        record = runtime.execute(pipeline_submission(trained_twice, runtime.blobs), {"epochs": options.epochs})
        if record.status != "SUCCEEDED":
            sys.stderr.write(f"{record.error}: {record.cause}\n")
            return 1
        steady, spot = record.output
        print_table(runtime.reader.deliveries(record), same=steady == spot)
    return int(steady != spot)


def _with(config: object, settings: object) -> object:
    import msgspec

    backends = msgspec.structs.replace(config.backends, simulated=settings)
    return msgspec.structs.replace(config, backends=backends, url=None, store=None, artifacts=None)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="spot.py", description=__doc__.partition("\n")[0])
    parser.add_argument("--traces", type=Path, default=TRACES, help="file of spot traces; one is generated without it")
    parser.add_argument("--trace", default=TRACE, help="which of them")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--speed", type=int, default=SPEED, help="seconds of the cloud in one of ours")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
