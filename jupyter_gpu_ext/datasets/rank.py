"""Which rank and which worker this process is, by what torch knows, else by the environment that torchrun sets."""

from __future__ import annotations

import os
import sys

from jupyter_gpu_ext.datasets.shard import Reader


def rank_and_world() -> tuple[int, int]:
    """Return this process's rank and how many there are: (0, 1) where it is alone."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def reader_of(ranks: tuple[int, int]) -> Reader:
    """Return who reads here: the worker of a `DataLoader` that this process is, of a rank."""
    data = sys.modules.get("torch.utils.data")
    info = None if data is None else data.get_worker_info()
    worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
    return Reader(rank=ranks[0], world=ranks[1], worker=worker, workers=workers)
