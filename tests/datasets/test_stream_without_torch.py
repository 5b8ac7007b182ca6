"""A stream where torch is not installed: ndarrays, in the same order; what only torch can do says so."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from jupyter_gpu_ext.datasets.zarr_stream import ZarrStream
from tests.datasets.stores import got, write

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import json, sys
sys.modules["torch"] = None
import numpy as np
from jupyter_gpu_ext.datasets.zarr_stream import ZarrStream
from jupyter_gpu_ext.errors import NotInstalledError
stream = ZarrStream(sys.argv[1]).shuffle(seed=1, buffer=20)
came = [batch["y"] for batch in stream.map(lambda one: {"y": one["y"]}).batch(7)]
assert all(type(one) is np.ndarray for one in came)
try:
    stream.to("cpu")
except NotInstalledError as error:
    print(json.dumps([np.concatenate(came).tolist(), str(error)]))
"""


def test_the_same_order(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr")
    url = str(tmp_path / "a.zarr")
    done = subprocess.run([sys.executable, "-c", PROGRAM, url], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    came, said = json.loads(done.stdout)
    assert came == got(ZarrStream(url).shuffle(seed=1, buffer=20))
    assert "torch" in said
