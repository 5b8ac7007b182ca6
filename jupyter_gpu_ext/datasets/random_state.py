"""The state of the random generators that a training step draws from."""

from __future__ import annotations

import random
from typing import Any


def capture() -> dict[str, Any]:
    """Return the states of Python's, numpy's and torch's generators, as plain data and tensors."""
    import numpy as np
    import torch

    drawn: Any = np.random.get_state(legacy=False)
    state = {name: value.tolist() if hasattr(value, "tolist") else value for name, value in drawn["state"].items()}
    return {
        "python": random.getstate(),
        "numpy": {**drawn, "state": state},
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],  # type: ignore[no-untyped-call]
    }


def restore(states: dict[str, Any]) -> None:
    """Let the generators go on from `states`."""
    import numpy as np
    import torch

    random.setstate(states["python"])
    drawn = states["numpy"]
    key = np.array(drawn["state"]["key"], np.uint32)
    np.random.set_state({**drawn, "state": {**drawn["state"], "key": key}})
    torch.set_rng_state(states["torch"])
    # A run that goes on with fewer devices uses what there is.
    for device, state in zip(range(torch.cuda.device_count()), states["cuda"], strict=False):
        torch.cuda.set_rng_state(state, device)
