"""A program started as `python faces.py` and a worker that imports `faces` mean the same classes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from dataclasses import dataclass

@dataclass
class Model:
    x: int

class Plain:
    def __init__(self, x):
        self.x = x

if __name__ == "__main__":
    import msgspec
    from skylift.stores.files import FileBlobStore
    from skylift.values.codec import ValueCodec
    codec = ValueCodec(FileBlobStore(sys.argv[1]))
    print(msgspec.json.encode(codec.dump([Model(1), Plain(2)])).decode(), flush=True)
    model, plain = codec.load(msgspec.json.decode(sys.stdin.readline()))
    assert type(model) is Model and type(plain) is Plain, (type(model), type(plain))
    assert (model.x, plain.x) == (10, 20)
    assert "faces_program" not in sys.modules
"""

WORKER = """
import sys
sys.path.insert(0, sys.argv[2])
import faces_program, msgspec
from skylift.stores.files import FileBlobStore
from skylift.values.codec import ValueCodec
codec = ValueCodec(FileBlobStore(sys.argv[1]))
model, plain = codec.load(msgspec.json.decode(sys.stdin.readline()))
assert type(model) is faces_program.Model and type(plain) is faces_program.Plain
model.x, plain.x = 10, 20
print(msgspec.json.encode(codec.dump([model, plain])).decode())
"""


def test_classes_of_a_program_are_those_of_its_module(tmp_path: Path) -> None:
    file = tmp_path / "faces_program.py"
    file.write_text(PROGRAM)
    blobs = str(tmp_path / "blobs")
    program = subprocess.Popen(
        [sys.executable, str(file), blobs], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    sent = program.stdout.readline()
    assert '"faces_program:Model"' in sent
    answer = subprocess.run(
        [sys.executable, "-c", WORKER, blobs, str(tmp_path)], input=sent, capture_output=True, text=True, check=True
    )
    program.communicate(answer.stdout)
    assert program.returncode == 0
