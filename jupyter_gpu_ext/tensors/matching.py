"""Which tensor of a file belongs where in a model; what is missing, left over, or of another shape."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.tensors.rename import proposal, renamed
from jupyter_gpu_ext.text import format_count, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Place:
    """A tensor of a model: tied parameters are one place with several names."""

    names: tuple[str, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """How a file fits a model.

    Attributes
    ----------
    sources : mapping of int to str
        For each place that is filled, by its index, the file's own name of the tensor.
    missing, unexpected : tuple of str
        Names of the model, and of the file as renamed, that have no counterpart.
    mismatched : tuple of str
        Both have them, in another shape; in words.
    """

    sources: Mapping[int, str]
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()

    def words(self) -> list[str]:
        """Return what does not fit, a few names of each kind."""
        kinds = (
            (self.missing, "missing"),
            (self.unexpected, "unexpected"),
            (self.mismatched, "of another shape"),
        )
        return [f"{len(names):,} {kind} ({_some(names)})" for names, kind in kinds if names]


def match(
    file: Mapping[str, tuple[int, ...]], places: Sequence[Place], rename: Mapping[str, str], *, partly: bool = False
) -> Match:
    """Compare a file's tensors with a model's.

    Parameters
    ----------
    file : mapping of str to tuple of int
        The shapes of the file's tensors by their own names.
    rename : mapping of str to str
        As for `renamed`.
    partly : bool
        Only a part of the model was asked for, so nothing is missing.
    """
    own_names = {new: old for old, new in renamed(file, rename).items()}
    sources: dict[int, str] = {}
    missing: list[str] = []
    mismatched: list[str] = []
    for at, place in enumerate(places):
        # Of a tied tensor the last name counts, as in load_state_dict.
        name = next((one for one in reversed(place.names) if one in own_names), None)
        if name is None:
            missing.append(place.names[0])
        elif file[own_names[name]] != place.shape:
            shapes = f"file {_shape(file[own_names[name]])}, model {_shape(place.shape)}"
            mismatched.append(f"{name}: {shapes}")
        else:
            sources[at] = own_names[name]
    known = {name for place in places for name in place.names}
    return Match(
        sources=sources,
        missing=() if partly else tuple(missing),
        unexpected=tuple(name for name in own_names if name not in known),
        mismatched=tuple(mismatched),
    )


def check(found: Match, places: Sequence[Place], url: str, *, strict: bool) -> None:
    """Refuse a file that does not fit its model.

    Raises
    ------
    BadRequestError
        With everything that does not fit, and the renaming that would help; without `strict` only when nothing fits.
    """
    words = found.words()
    if found.sources and not (strict and words):
        return
    if not words:
        raise BadRequestError(f"{printable(url)} and the model have no tensor in common.", hint="Check the model.")
    names = [name for place in places for name in place.names]
    rule = proposal(names, found.unexpected)
    if rule:
        hint = f"rename={json.dumps(rule)} makes the names match: jg.load_into(model, url, rename=…)."
    elif found.sources:
        hint = f"strict=False loads the {format_count(len(found.sources), 'tensor')} that fit: jg.load_into(…)."
    else:
        hint = "`%blob info` shows the file's names, rename={GLOB: GLOB} maps them."
    raise BadRequestError(
        f"{printable(url)} does not fit the model: {', '.join(words)}; nothing was loaded.", hint=hint
    )


def _some(names: Sequence[str]) -> str:
    more = " …" if len(names) > _SHOWN else ""
    return ", ".join(printable(name[:120]) for name in names[:_SHOWN]) + more


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape)) or "scalar"
