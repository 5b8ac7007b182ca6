"""A training run whose whole state says which step it is of; to be killed."""

from __future__ import annotations

import random
import sys
import time
from typing import Any

import torch

import jupyter_gpu_ext as jg


class Data:
    """A position in a data set."""

    def __init__(self) -> None:
        self.at = -1

    def state_dict(self) -> dict[str, Any]:
        return {"at": self.at, "seen": list(range(self.at + 1))[-3:]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.at = state["at"]


class Model(torch.nn.Module):
    """Weights that are the number of the step, tied and not."""

    def __init__(self, width: int = 300) -> None:
        super().__init__()
        self.first = torch.nn.Parameter(torch.full((width, width), -1.0))
        self.second = torch.nn.Parameter(torch.full((width,), -1.0))
        self.tied = self.first

    def advance(self, step: int) -> None:
        with torch.no_grad():
            self.first.fill_(step)
            # A signal may well come between the two.
            time.sleep(0.001)
            self.second.fill_(step)


def parts() -> tuple[Model, torch.optim.Optimizer, Data]:
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9)
    for one in model.parameters():
        optimizer.state[one]["momentum_buffer"] = torch.full_like(one, -1.0)
    return model, optimizer, Data()


def step_of(model: Model, optimizer: torch.optim.Optimizer, data: Data) -> int:
    """Return the one step that all of the state is of."""
    found = {float(edge) for one in model.parameters() for edge in one.detach().aminmax()}
    found |= {float(one["momentum_buffer"].flatten()[at]) for one in optimizer.state.values() for at in (0, -1)}
    found |= {float(data.at)}
    assert len(found) == 1, found
    assert model.tied is model.first
    return int(found.pop())


def main(url: str, *, steps: int, every: int, grace: float) -> None:
    model, optimizer, data = parts()
    checkpoints = jg.Checkpointer(url, every=every, grace_seconds=grace)
    start = checkpoints.restore(model=model, optimizer=optimizer, data=data)
    assert step_of(model, optimizer, data) == start - 1
    assert not start or checkpoints.extra == {"loss": start - 1.0}
    for step in range(start, steps):
        model.advance(step)
        for one in optimizer.state.values():
            one["momentum_buffer"].fill_(step)
        data.at = step
        checkpoints.save(step, loss=float(step))
        print(step, random.random(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], steps=int(sys.argv[2]), every=int(sys.argv[3]), grace=float(sys.argv[4]))
