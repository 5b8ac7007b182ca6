"""Two processes that save one checkpoint together: `python -m tests.tensors.ranks FOLDER`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
import torch.multiprocessing as mp
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Replicate, Shard, distribute_tensor

RANKS = 2


def whole() -> dict[str, torch.Tensor]:
    """Return what both processes hold together."""
    generator = torch.Generator().manual_seed(0)
    return {
        "rows": torch.randn(8, 6, generator=generator),
        "columns": torch.randn(5, 8, generator=generator),
        "inner": torch.randn(3, 8, 4, generator=generator).to(torch.bfloat16),
        "uneven": torch.randn(7, 3, generator=generator),
        "fewer than ranks": torch.randn(1, 4, generator=generator),
        "same": torch.randn(4, 4, generator=generator),
        "large": torch.randn(400, 500, generator=generator),
    }


PLACES: dict[str, Any] = {
    "rows": Shard(0),
    "columns": Shard(1),
    "inner": Shard(1),
    "uneven": Shard(0),
    "fewer than ranks": Shard(0),
    "same": Replicate(),
    "large": Shard(1),
}


def module() -> torch.nn.Module:
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Linear(6, 10), torch.nn.LayerNorm(10), torch.nn.Linear(10, 3))


def save(rank: int, folder: str) -> None:
    store = dist.FileStore(f"{folder}/store", RANKS)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=RANKS)
    mesh = init_device_mesh("cpu", (RANKS,))
    state = {name: distribute_tensor(value, mesh, [PLACES[name]]) for name, value in whole().items()}
    model = module()
    fully_shard(model, mesh=mesh)
    dcp.save({"tensors": state, "model": model.state_dict(), "step": 7}, checkpoint_id=f"{folder}/checkpoint")
    dist.destroy_process_group()


if __name__ == "__main__":
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    target = sys.argv[1]
    Path(target).mkdir(parents=True, exist_ok=True)
    mp.spawn(save, args=(target,), nprocs=RANKS)
