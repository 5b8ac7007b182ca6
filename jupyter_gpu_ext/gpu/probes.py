"""Gathers the facts: each that could hang, crash or open the GPU in a process of its own.

As a program, `python -m jupyter_gpu_ext.gpu.probes [--preflight]`, it prints those of its environment as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.gpu.child import LIMIT_SECONDS, Child
from jupyter_gpu_ext.gpu.facts import Facts, Session, explained
from jupyter_gpu_ext.gpu.private import private

if TYPE_CHECKING:
    from collections.abc import Mapping

    # What a probe said, and what went wrong with it.
    Answer = tuple[dict[str, Any], str]

# The longest that all probes together take, but for the burial of one that hangs.
ALL_SECONDS = 14.0
_LEAST_SECONDS = 2.0


def gather(*, preflight: bool = False, limit_seconds: float = LIMIT_SECONDS) -> Facts:
    """Ask the system, the driver and torch, at the same time; never raises for what they do.

    Parameters
    ----------
    preflight : bool
        Leave out the sum over all devices.
    limit_seconds : float
        For each probe.
    """
    begun = time.monotonic()
    with ExitStack() as running:
        names = ("probe_system", "probe_driver", "probe_torch")
        system, driver, torch = (_started(running, name, limit_seconds) for name in names)
        answers = {"driver": driver.answer()}
        left = ALL_SECONDS - (time.monotonic() - begun)
        reason = _why_no_sum(answers["driver"][0], preflight=preflight, left_seconds=left)
        sums = None if reason else _started(running, "probe_all_reduce", min(limit_seconds, left))
        answers |= {"system": system.answer(), "torch": torch.answer()}
        added = sums.answer() if sums else ({}, reason)
    return _facts({**answers, "torch": _with_sum(answers["torch"], added)}, preflight=preflight)


def _started(running: ExitStack, module: str, seconds: float) -> Child:
    child = Child(module, limit_seconds=seconds)
    running.callback(child.end)
    return child


def _why_no_sum(driver: Mapping[str, Any], *, preflight: bool, left_seconds: float) -> str:
    if preflight:
        return "left out of a quick check"
    if len(driver.get("cuda_devices") or ()) < 2:
        return "there are no two devices"
    return "" if left_seconds > _LEAST_SECONDS else "the driver took all the time"


def _with_sum(torch: Answer, added: Answer) -> Answer:
    (said, problem), (more, reason) = torch, added
    unknown = {**said["unknown"], "all_reduce": reason, **more.get("unknown", {})}
    return {**said, **more, "unknown": unknown}, problem


def _facts(answers: Mapping[str, Answer], *, preflight: bool) -> Facts:
    made = Facts.from_json(private({name: said for name, (said, _) in answers.items()}))
    reasons = {name: problem or "not reported" for name, (_, problem) in answers.items()}
    return replace(
        made,
        system=explained(made.system, reasons["system"]),
        driver=explained(made.driver, reasons["driver"]),
        torch=explained(made.torch, reasons["torch"]),
        session=explained(Session(), "not asked"),
        is_preflight=preflight,
    )


if __name__ == "__main__":
    sys.stdout.write(json.dumps(gather(preflight="--preflight" in sys.argv[1:]).to_json()) + "\n")
