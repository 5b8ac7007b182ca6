"""A rank that reads a part of an epoch, saves it, and goes on as another run would; torchrun starts it."""

from __future__ import annotations

import json
import sys

import torch.distributed as dist

import jupyter_gpu_ext as jg


def stream(url: str) -> jg.ZarrStream:
    return jg.ZarrStream(url).shuffle(seed=1, buffer=20).batch(4).prefetch(2)


def main(url: str, run: str, save_after: int) -> None:
    """Print the samples of each step, of all ranks."""
    dist.init_process_group("gloo")
    begun, steps = stream(url), list[list[int]]()
    with jg.Checkpointer(run) as checkpoints:
        checkpoints.restore(data=begun)
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
    found: list[list[list[int]]] = [[] for _ in range(dist.get_world_size())]
    dist.all_gather_object(found, steps)
    if dist.get_rank() == 0:
        print(json.dumps(found))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
