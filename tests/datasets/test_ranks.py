"""Ranks that torchrun starts: each has samples of its own, all make as many steps, one checkpoint serves them all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.datasets.ranks import stream
from tests.datasets.stores import ENTRIES, write

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.usefixtures("local_out")
def test_two_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = str(tmp_path / "train.zarr")
    write(tmp_path / "train.zarr")
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    words = [*torchrun, "-m", "tests.datasets.ranks", url, "out://run/", "2"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=100, env=environ)
    assert done.returncode == 0, done.stderr
    ranks, left = zip(*json.loads(done.stdout), strict=True)
    # Told in steps of their own, they end after the same.
    assert left == (5, 5)
    assert [len(steps) for steps in ranks] == [8, 8]
    assert sorted(sample for steps in ranks for step in steps for sample in step) == list(range(ENTRIES))
    # As without a break, in the order that ranks have without a group of processes, too.
    for rank in range(2):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "2")
        assert ranks[rank] == [batch["y"].tolist() for batch in stream(url)]
