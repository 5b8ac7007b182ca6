"""Findings from facts: pure, and never an error for what is not known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from jupyter_gpu_ext.gpu import rules_container, rules_devices, rules_driver, rules_torch, rules_trials
from jupyter_gpu_ext.gpu.finding import LEVELS, Finding

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jupyter_gpu_ext.gpu.compat import Compat
    from jupyter_gpu_ext.gpu.facts import Facts
    from jupyter_gpu_ext.gpu.finding import Rule

Verdict = Literal["ok", "warning", "error"]

# Of two findings of one kind the first stays: causes stand before what is said of them.
RULES: tuple[Rule, ...] = (
    *rules_driver.RULES,
    *rules_devices.RULES,
    *rules_torch.RULES,
    *rules_container.RULES,
    *rules_trials.RULES,
)


def diagnose(facts: Facts, compat: Compat) -> tuple[Finding, ...]:
    """Return what there is to say of an environment, worst first.

    Parameters
    ----------
    facts : Facts
        Any of them may be None.
    compat : Compat
        The tables of drivers and wheels.
    """
    found = [one for rule in RULES for one in rule(facts, compat)]
    if not any(one.level == "error" for one in found):
        found += rules_trials.unexplained(facts, compat)
    return worst_first(found)


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings by level, one of each kind."""
    kinds: dict[str, Finding] = {}
    for one in findings:
        kinds.setdefault(one.id, one)
    return tuple(sorted(kinds.values(), key=lambda one: LEVELS.index(one.level)))


def verdict(findings: Iterable[Finding]) -> Verdict:
    """Return the worst level; a note is no complaint."""
    levels = {one.level for one in findings}
    return "error" if "error" in levels else "warning" if "warning" in levels else "ok"
