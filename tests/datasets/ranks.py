"""A rank that reads a part of an epoch, saves it, and goes on as another run would; torchrun starts it."""

from __future__ import annotations

import json
import sys

import torch.distributed as dist

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.datasets.departure import Departure


def stream(url: str) -> jg.ZarrStream:
    return jg.ZarrStream(url).shuffle(seed=1, buffer=20).batch(4).prefetch(2)


def main(url: str, run: str, save_after: int) -> None:
    """Print, of all ranks, the samples of each step, and when they left."""
    dist.init_process_group("gloo")
    begun, steps = stream(url), list[list[int]]()
    with jg.Checkpointer(run) as checkpoints:
        checkpoints.restore(data=begun)
        # As the first step of a model that is shared: nobody saves before all have looked.
        dist.barrier()
        for step, batch in enumerate(begun):
            steps.append(batch["y"].tolist())
            if step == save_after:
                checkpoints.save(step)
                break
    dist.barrier()
    rest = stream(url)
    with jg.Checkpointer(run) as checkpoints:
        checkpoints.restore(data=rest)
        steps += [batch["y"].tolist() for batch in rest]
    found: list[tuple[list[list[int]], int]] = [([], 0)] * dist.get_world_size()
    dist.all_gather_object(found, (steps, left_after(dist.get_rank())))
    if dist.get_rank() == 0:
        print(json.dumps(found))
    dist.destroy_process_group()


def left_after(rank: int) -> int:
    """Return the step after which a rank ends that is told to in step 3, or 4 of rank 1."""
    departure, step = Departure("test"), 0
    while step < 3 + rank or not departure.is_due(step):
        step += 1
        dist.barrier()
    return step


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
