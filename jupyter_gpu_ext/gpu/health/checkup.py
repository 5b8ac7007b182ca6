"""`jg.gpu.doctor()`: gather the facts, diagnose, and say it in the order in which a person needs it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.gpu.health import session
from jupyter_gpu_ext.gpu.health.compat import tables
from jupyter_gpu_ext.gpu.health.diagnose import Verdict, diagnose, verdict, worst_first
from jupyter_gpu_ext.gpu.health.finding import Finding
from jupyter_gpu_ext.gpu.health.private import private
from jupyter_gpu_ext.gpu.health.probes import gather
from jupyter_gpu_ext.gpu.health.report_markdown import to_markdown
from jupyter_gpu_ext.text import format_count, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jupyter_gpu_ext.gpu.health.facts import Facts

_EXIT = {"ok": 0, "warning": 1, "error": 2}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Report:
    """What the doctor found.

    Attributes
    ----------
    findings : tuple of Finding
        Worst first.
    facts : Facts
        What they were made from.
    """

    findings: tuple[Finding, ...]
    facts: Facts

    @property
    def verdict(self) -> Verdict:
        """'ok', 'warning' or 'error': the worst finding."""
        return verdict(self.findings)

    @property
    def title(self) -> str:
        """One line for all of it."""
        counts = Counter(one.level for one in self.findings)
        if self.verdict == "ok":
            works = next((one.title for one in self.findings if one.level == "ok"), None)
            return works or "Nothing is wrong that the doctor knows of."
        words = [format_count(counts[level], level) for level in ("error", "warning") if counts[level]]
        return f"{self.findings[0].title} ({', '.join(words)})"

    @property
    def exit_code(self) -> int:
        """0: well; 1: warnings; 2: errors."""
        return _EXIT[self.verdict]

    def __repr__(self) -> str:
        return "\n".join([f"Doctor: {_WORDS[self.verdict]}.", *(_lines(self.findings))])

    def to_json(self) -> dict[str, Any]:
        """Return plain data: the API contract's DoctorReport."""
        return {
            "verdict": self.verdict,
            "title": self.title,
            "findings": [one.to_json() for one in self.findings],
            "report": self.markdown(),
            "facts": self.facts.to_json(),
        }

    def markdown(self) -> str:
        """Return the report to hand on: versions and findings, no name of a person, a machine or a home folder."""
        return to_markdown(self.title, self.findings, self.facts)


_WORDS = {"ok": "all is well", "warning": "something may not work", "error": "something does not work"}


def doctor(*, preflight: bool = False, more: Iterable[Finding] = ()) -> Report:
    """Check driver, container, torch and GPU of this environment; takes seconds, and opens no GPU in this process.

    Parameters
    ----------
    preflight : bool
        The part that a job can start with: no sum over all devices.
    more : iterable of Finding
        What somebody else found.

    Returns
    -------
    Report
        Prints as a verdict and the findings, worst first, each with the next step.
    """
    return report(replace(gather(preflight=preflight), session=session.look()), more=more)


def report(facts: Facts, *, more: Iterable[Finding] = ()) -> Report:
    """Return the report of facts.

    Parameters
    ----------
    more : iterable of Finding
        What was found besides.
    """
    found = worst_first([*more, *diagnose(facts, tables())])
    return Report(findings=tuple(_private(one) for one in found), facts=facts)


def _private(finding: Finding) -> Finding:
    return Finding(**{key: printable(private(text)) for key, text in finding.to_json().items()})  # type: ignore[arg-type]


def _lines(findings: Iterable[Finding]) -> list[str]:
    lines = []
    for one in findings:
        lines.append(f"{one.level}: {one.title}")
        lines += [f"    {text}" for text in (one.evidence, f"→ {one.fix}" if one.fix else "") if text]
    return lines
