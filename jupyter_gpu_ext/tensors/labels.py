"""A label, or a range of labels, of one axis → its indices; both ends belong to a range, as in xarray's `.sel`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DATE = r"\d{4}(?:-\d\d(?:-\d\d(?:[T ]\d\d(?::\d\d(?::\d\d(?:\.\d{1,6})?)?)?)?)?)?"
_DATES = re.compile(
    rf"(?P<one>{_DATE})|(?P<start>{_DATE})?\s*:\s*(?P<stop>{_DATE})?(?:\s*:\s*(?P<step>[+-]?\d{{1,9}})?)?"
)
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_NUMBERS = re.compile(
    rf"(?P<one>{_NUMBER})|(?P<start>{_NUMBER})?\s*:\s*(?P<stop>{_NUMBER})?(?:\s*:\s*(?P<step>[+-]?\d{{1,9}})?)?"
)
# From the coarsest on; what is coarser than a day is a span of days everywhere.
_RESOLUTIONS = ("D", "h", "m", "s", "ms", "us")


@dataclass(frozen=True, slots=True, eq=False)
class Coordinate:
    """The labels of an axis: numbers, or dates."""

    name: str
    values: NDArray[Any]

    @property
    def dates(self) -> bool:
        """The labels are dates."""
        return self.values.dtype.kind == "M"

    @property
    def extent(self) -> str:
        """First and last label, for messages."""
        if not self.values.size:
            return "nothing"
        return f"{_shown(self.values[0])} to {_shown(self.values[-1])}"


@dataclass(frozen=True, slots=True)
class _Span:
    """What one label means: everything from `first` to `last`."""

    first: Any
    last: Any
    exact: bool = True


def by_label(text: str, coordinate: Coordinate) -> slice | int:
    """Return the indices that a label or a range of labels chooses.

    Parameters
    ----------
    text : str
        '51.5', '60:30', '2020-01:2020-03', '2020-01-01T12', with ':STEP' behind a range. A partial date is all
        of its period.

    Raises
    ------
    BadRequestError
        When the labels are not there, not sorted, or the range is empty.
    """
    found = (_DATES if coordinate.dates else _NUMBERS).fullmatch(text.strip())
    if found is None:
        form = "a date (2020, 2020-01, 2020-01-31T12)" if coordinate.dates else "a number"
        raise _refused(coordinate, f"{printable(text[:60])!r} is not {form} or a range of them")
    if found["one"] is None:
        return _range(found, coordinate)
    span = _span(found["one"], coordinate)
    return _single(span, coordinate) if span.exact else _between(span, span, coordinate, found["one"])


def _range(found: re.Match[str], coordinate: Coordinate) -> slice:
    start, stop = (_span(found[key], coordinate) if found[key] else None for key in ("start", "stop"))
    indices = _between(start, stop, coordinate, found[0])
    step = int(found["step"] or 1)
    if step <= 0:
        raise _refused(coordinate, f"the step {step} is not 1, 2, …")
    return slice(indices.start, indices.stop, step)


def _between(start: _Span | None, stop: _Span | None, coordinate: Coordinate, text: str) -> slice:
    values, count = coordinate.values, len(coordinate.values)
    if _sorted(values):
        low = 0 if start is None else int(np.searchsorted(values, start.first, "left"))
        high = count if stop is None else int(np.searchsorted(values, stop.last, "right"))
    elif _sorted(values[::-1]):
        back = values[::-1]
        low = 0 if start is None else count - int(np.searchsorted(back, start.last, "right"))
        high = count if stop is None else count - int(np.searchsorted(back, stop.first, "left"))
    else:
        raise _refused(coordinate, "its labels are not in order", "Select by index, or by one label.")
    if low >= high:
        raise _refused(
            coordinate,
            f"{printable(text[:60])!r} holds none of its labels",
            f"It runs from {coordinate.extent}; a range is written in that direction.",
        )
    return slice(low, high)


def _sorted(values: NDArray[Any]) -> bool:
    return bool(np.all(values[:-1] <= values[1:])) and not bool(_missing(values).any())


def _missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    # Neither NaN nor NaT equals itself.
    return np.asarray(values != values)  # noqa: PLR0124


def _single(span: _Span, coordinate: Coordinate) -> int:
    places = np.flatnonzero(coordinate.values == span.first)
    if len(places) == 1:
        return int(places[0])
    if len(places):
        raise _refused(coordinate, f"{_shown(span.first)} stands there {len(places)} times", "Select by index.")
    raise _refused(coordinate, f"there is no {_shown(span.first)}", _nearest(span.first, coordinate))


def _nearest(value: Any, coordinate: Coordinate) -> str:
    values = coordinate.values[~_missing(coordinate.values)]
    if not values.size:
        return "Select by index."
    if coordinate.dates:
        away = np.abs((values - value).astype(np.int64))
    else:
        away = np.abs(values.astype(np.float64) - float(value))
    return f"Next to it: {', '.join(_shown(one) for one in np.unique(values[np.argsort(away, kind='stable')[:2]]))}."


def _span(text: str, coordinate: Coordinate) -> _Span:
    if coordinate.dates:
        return _period(text, coordinate)
    value = int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text)
    if coordinate.values.dtype.kind == "f":
        # The label that is stored is the nearest one that its type can hold.
        with np.errstate(over="ignore"):
            value = coordinate.values.dtype.type(value)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise _refused(coordinate, f"{text[:60]!r} is too large")
    return _Span(value, value)


def _period(text: str, coordinate: Coordinate) -> _Span:
    try:
        date = np.datetime64(text.replace(" ", "T"))
    except ValueError:
        raise _refused(coordinate, f"{text!r} is no date") from None
    unit = np.datetime_data(date)[0]
    first = date.astype("M8[us]")
    last = (date + 1).astype("M8[us]") - np.timedelta64(1, "us")
    exact = unit in _RESOLUTIONS and _RESOLUTIONS.index(unit) >= _RESOLUTIONS.index(_resolution(coordinate.values))
    return _Span(first, last, exact)


def _resolution(dates: NDArray[Any]) -> str:
    """Return the coarsest unit in which all the dates are whole."""
    found = dates[~np.isnat(dates)]
    return next(unit for unit in _RESOLUTIONS if bool((found == found.astype(f"M8[{unit}]")).all()))


def _shown(value: Any) -> str:
    text = str(value)
    return text.removesuffix(".000000").removesuffix("T00:00:00") if isinstance(value, np.datetime64) else text


def _refused(coordinate: Coordinate, what: str, hint: str = "") -> BadRequestError:
    return BadRequestError(f"{printable(coordinate.name)}: {what}.", hint=hint or f"It runs from {coordinate.extent}.")
