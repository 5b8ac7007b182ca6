"""The proof that a script gives the notebook's result: what was compared, and how it came out."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.export.runs import Observed, Plan
from jupyter_gpu_ext.job.described import Comparer
from jupyter_gpu_ext.text import format_count, printable, redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

REPORT, MARKDOWN, ARRAYS, DATA = "report.json", "report.md", "values.npz", "data"
_FORMAT = 1
_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One thing that was compared.

    Attributes
    ----------
    kind : {'variable', 'output', 'file'}
    name : str
        The variable; 'cell 7'; 'run7://m.npy', or './name' of a file in the working folder.
    same : bool or None
        None where it is of a kind that cannot be compared.
    detail : str
        How it differs, or why it was not compared.
    """

    kind: Literal["variable", "output", "file"]
    name: str
    same: bool | None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A comparison of two runs.

    Attributes
    ----------
    plan : Plan
    script_sha256 : str
        Of the script that was compared.
    results : tuple of Result
    left_out : mapping of str to str
        Variables that were not compared, each with the reason.
    sample : str
        Why the data does not lie beside the proof, so that it takes the storage to repeat it; '' where it does.
    """

    plan: Plan
    script_sha256: str
    results: tuple[Result, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    sample: str = ""

    @property
    def holds(self) -> bool:
        """Whether everything that can be compared is the same, and something was."""
        compared = [one.same for one in self.results if one.same is not None]
        return bool(compared) and all(compared)

    @property
    def title(self) -> str:
        """One line for all of it."""
        same = [one for one in self.results if one.same]
        differs = [one for one in self.results if one.same is False]
        if differs:
            return f"{format_count(len(differs), 'result')} of {len(same) + len(differs)} differ."
        if not same:
            return "Nothing could be compared."
        counted = [format_count(sum(one.kind == kind for one in same), kind) for kind in ("variable", "output", "file")]
        return f"The script gives the notebook's result: {', '.join(one for one in counted if one[0] != '0')} the same."

    @property
    def exit_code(self) -> int:
        """0: it holds; 2: it does not."""
        return 0 if self.holds else 2

    def __str__(self) -> str:
        lines = [
            f"  {one.kind} {printable(one.name)}: {printable(one.detail)}" for one in self.results if one.same is False
        ]
        return "\n".join([self.title, *lines])

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "version": _FORMAT,
            "holds": self.holds,
            "title": self.title,
            "plan": asdict(self.plan),
            "script_sha256": self.script_sha256,
            "results": [asdict(one) for one in self.results],
            "left_out": dict(self.left_out),
            "sample": self.sample,
        }

    def markdown(self) -> str:
        """Return the report for people."""
        words = {True: "the same", False: "**differs**", None: "not compared"}
        rows = [
            f"| {one.kind} | `{printable(one.name)}` | {words[one.same]} | {printable(redact(one.detail))} |"
            for one in self.results
        ]
        left = [f"- `{name}`: {why}" for name, why in self.left_out.items()]
        line = " ".join(self.plan.arguments)
        given = f" and `{line}`" if line else ""
        data = f"Its data is not kept here: {self.sample}." if self.sample else "The data lies in `data/`."
        return "\n".join(
            [
                "# Proof",
                "",
                self.title,
                "",
                f"Notebook and script ran with seed {self.plan.seed}{given}; numbers may lie "
                f"{self.plan.tolerance:g} apart. {data} Again: `jupyter-gpu verify .`, beside train.py.",
                "",
                "| what | name | result | |",
                "| --- | --- | --- | --- |",
                *rows,
                *(["", "Not compared:", "", *left] if left else []),
                "",
            ]
        )


def compare(expected: Observed, found: Observed, plan: Plan) -> tuple[Result, ...]:
    """Return how what was found differs from what was expected."""
    comparer = Comparer(expected.arrays, found.arrays, plan.tolerance)
    results = [
        *_pairs(comparer, "variable", expected.values, found.values),
        *_pairs(comparer, "file", expected.files, found.files),
    ]
    for cell in plan.cells:
        one, other = expected.texts.get(cell, ""), found.texts.get(cell, "")
        same = comparer.same_text(one, other)
        results.append(
            Result(kind="output", name=f"cell {cell}", same=same, detail="" if same else "it prints otherwise")
        )
    return tuple(results)


def _pairs(
    comparer: Comparer, kind: Literal["variable", "file"], expected: Mapping[str, Any], found: Mapping[str, Any]
) -> Iterator[Result]:
    for name in sorted(expected.keys() | found.keys()):
        one, other = expected.get(name), found.get(name)
        if one is None or other is None:
            detail = (
                "the script has it, the notebook does not"
                if one is None
                else "the notebook has it, the script does not"
            )
            yield Result(kind=kind, name=name, same=False, detail=detail)
        elif "unknown" in (one["kind"], other["kind"]):
            yield Result(kind=kind, name=name, same=None, detail=str(one.get("type", "")))
        else:
            differences = comparer.compare(one, other)
            more = f"; and {len(differences) - _SHOWN} more" if len(differences) > _SHOWN else ""
            detail = "; ".join(differences[:_SHOWN]) + more
            yield Result(kind=kind, name=name, same=not differences, detail=detail)


def write(folder: Path, proof: Proof, expected: Observed) -> None:
    """Write the report into a folder that is there, with what the notebook gave."""
    said = {
        **proof.to_json(),
        "expected": {"values": expected.values, "texts": expected.texts, "files": expected.files},
    }
    (folder / REPORT).write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    (folder / MARKDOWN).write_text(proof.markdown(), encoding="utf-8")
    with (folder / ARRAYS).open("wb") as file:
        np.savez(file, allow_pickle=False, **expected.arrays)


def read(folder: Path) -> tuple[Proof, Observed]:
    """Return a proof, and what the notebook gave.

    Raises
    ------
    BadRequestError
        When it is none of this form.
    """
    try:
        said = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        plan = said["plan"]
        proof = Proof(
            plan=Plan(**{**plan, **{name: tuple(plan[name]) for name in ("names", "cells", "arguments")}}),
            script_sha256=said["script_sha256"],
            results=tuple(Result(**one) for one in said["results"]),
            left_out=said["left_out"],
            sample=said["sample"],
        )
        expected = said["expected"]
        with np.load(folder / ARRAYS, allow_pickle=False) as kept:
            arrays = dict(kept)
        texts = {int(cell): text for cell, text in expected["texts"].items()}
        return proof, Observed(values=expected["values"], texts=texts, files=expected["files"], arrays=arrays)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BadRequestError(
            f"{printable(str(folder))} holds no proof.", hint="Export the notebook again with --prove."
        ) from None
