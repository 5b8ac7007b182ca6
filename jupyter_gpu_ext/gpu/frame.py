"""One picture of `jupyter gpu top`: a status as lines of a terminal. Pure."""

from __future__ import annotations

import time
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING

from jupyter_gpu_ext.gpu.report import memory_text
from jupyter_gpu_ext.text import format_bytes, format_count, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from jupyter_gpu_ext.gpu.models import Device, DeviceSample, ProcessMemory, Status
    from jupyter_gpu_ext.gpu.own import OwnProcess

    Own = Callable[[Sequence[ProcessMemory] | None], Sequence[OwnProcess]]

# Select Graphic Rendition, ECMA-48 section 8.3.117.
_CODES = {"bold": "1", "dim": "2", "bad": "31", "good": "32", "warn": "33"}
_LABEL_COLUMNS = 7
_TEXT_COLUMNS = 18
_LEAST_COLUMNS = 24
_FULL, _TRACK = "█", "░"
_EIGHTHS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")
_NEARLY_FULL, _FILLING = 0.97, 0.85
_HOT_CELSIUS = 85
_MOST_PROCESSES = 4


@dataclass(frozen=True, slots=True)
class Span:
    """Text in one style: '', 'bold', 'dim', 'good', 'warn' or 'bad'."""

    text: str
    style: str = ""


Line = tuple[Span, ...]


def frame(status: Status, own: Own, *, columns: int, note: str = "") -> list[Line]:
    """Return the lines, each at most `columns` wide.

    Parameters
    ----------
    own : callable
        Returns the caller's own among the processes of a reading.
    note : str
        At the right of the first line.
    """
    columns = max(columns, _LEAST_COLUMNS)
    lines = [*_head(status, columns, note), *_troubles(status, columns)]
    readings = {reading.uuid: reading for reading in status.now}
    for device in _by_card(status.devices):
        lines += _device(device, readings.get(device.uuid), own, columns)
    return [cut(line, columns) for line in lines]


def fitting(lines: Sequence[Line], rows: int) -> list[Line]:
    """Return as many lines as there are rows, and say how many are not shown."""
    if len(lines) <= rows:
        return list(lines)
    hidden = len(lines) - max(rows - 1, 0)
    return [*lines[: max(rows - 1, 0)], (Span(f"… {format_count(hidden, 'more line')}", "dim"),)][:rows]


def to_text(line: Line, *, styled: bool) -> str:
    """Return a line, with escape codes for its styles where that is asked for."""
    return "".join(
        f"\x1b[{_CODES[span.style]}m{span.text}\x1b[0m" if styled and span.style else span.text for span in line
    )


def cut(line: Iterable[Span], columns: int) -> Line:
    """Return what fits into so many columns, an ellipsis where something does not."""
    kept: list[Span] = []
    line = tuple(line)
    room = columns if sum(len(span.text) for span in line) <= columns else columns - 1
    for span in line:
        kept.append(Span(span.text[:room], span.style))
        room -= len(kept[-1].text)
        if len(kept[-1].text) < len(span.text):
            kept.append(Span("…", "dim"))
            break
    return tuple(span for span in kept if span.text)


def _head(status: Status, columns: int, note: str) -> Iterator[Line]:
    at = time.strftime("%H:%M:%S", time.localtime(status.samples[-1].time)) if status.samples else ""
    yield _apart((Span(f"jupyter gpu top  {at}".rstrip(), "bold"),), (Span(note, "dim"),), columns)
    if status.simulated:
        yield (Span("Simulated GPUs: the numbers are made up.", "warn"),)


def _troubles(status: Status, columns: int) -> Iterator[Line]:
    if status.stale:
        yield (Span("The GPU has not answered for a while; these numbers are old.", "warn"),)
    for text, style in ((status.reason, "warn"), (status.hint, "")):
        yield from ((Span(line, style),) for line in wrap(printable(text), columns))


def _by_card(devices: Sequence[Device]) -> Iterator[Device]:
    """Give each card with its slices behind it; slices of a card that is not shown come last."""
    cards = [device for device in devices if device.slice_of is None]
    slices = [device for device in devices if device.slice_of is not None]
    for card in cards:
        yield card
        yield from (one for one in slices if one.slice_of == card.uuid)
    known = {card.uuid for card in cards}
    yield from (one for one in slices if one.slice_of not in known)


def _device(device: Device, reading: DeviceSample | None, own: Own, columns: int) -> Iterator[Line]:
    margin = 0 if device.slice_of is None else 4
    inside = columns - margin
    lines = [_title(device, reading, inside), _memory(device, reading, inside), _busy(reading, inside)]
    if device.shares_memory:
        lines.append((Span("its memory is the system's", "dim"),))
    if reading is not None:
        lines += [*_alarms(reading), *_processes(own(reading.processes))]
    if margin == 0:
        yield ()
    for line in lines:
        yield (Span(" " * margin), *line) if margin else line


def _title(device: Device, reading: DeviceSample | None, columns: int) -> Line:
    name = printable(device.name)
    left = Span(
        f"GPU {device.index} · {name}" if device.slice_of is None else f"└ slice {device.index} · {name}", "bold"
    )
    return _apart((left,), tuple(_sensors(reading)) if reading else (), columns)


def _sensors(reading: DeviceSample) -> Iterator[Span]:
    celsius, watts, limit = reading.temperature_celsius, reading.power_watts, reading.power_limit_watts
    if celsius is not None:
        yield Span(f"{celsius:.0f} °C", "warn" if celsius >= _HOT_CELSIUS else "")
    if watts is not None:
        of = f" / {limit:.0f}" if limit is not None else ""
        yield Span(f"{' · ' if celsius is not None else ''}{watts:.0f}{of} W")


def _memory(device: Device, reading: DeviceSample | None, columns: int) -> Line:
    used, total = reading.memory_used_bytes if reading else None, device.memory_total_bytes
    text = memory_text(device, reading).removeprefix("memory ").removesuffix(" of the system")
    if used is None or not total:
        return _labelled("memory", Span(text, "dim"))
    ratio = used / total
    style = "bad" if ratio >= _NEARLY_FULL else "warn" if ratio >= _FILLING else "good"
    return (*_labelled("memory", *_bar(ratio, style, columns)), Span(f"{text:>{_TEXT_COLUMNS}}"))


def _busy(reading: DeviceSample | None, columns: int) -> Line:
    ratio = reading.utilization_ratio if reading else None
    if ratio is None:
        why = reading.unavailable.get("utilization_ratio", "not reported") if reading else "not read yet"
        return _labelled("busy", Span(f"unknown ({why})" if reading else why, "dim"))
    return (*_labelled("busy", *_bar(ratio, "good", columns)), Span(f"{f'{100 * ratio:.0f} %':>{_TEXT_COLUMNS}}"))


def _alarms(reading: DeviceSample) -> Iterator[Line]:
    if reading.throttled_by:
        yield (Span(f"throttled: {printable(', '.join(reading.throttled_by))}", "warn"),)
    if reading.ecc_uncorrected_count:
        yield (Span(format_count(reading.ecc_uncorrected_count, "uncorrected memory error"), "bad"),)
    if reading.needs_reset:
        yield (Span("a row of memory waits to be replaced: the GPU needs a reset", "warn"),)


def _processes(own: Sequence[OwnProcess]) -> Iterator[Line]:
    for one in own[:_MOST_PROCESSES]:
        size = "memory unknown" if one.memory_bytes is None else format_bytes(one.memory_bytes)
        yield (Span("yours  ", "dim"), Span(f"{one.pid} {printable(one.name)}  "), Span(size))
    if len(own) > _MOST_PROCESSES:
        yield (Span(f"yours  and {len(own) - _MOST_PROCESSES} more", "dim"),)


def _labelled(label: str, *spans: Span) -> Line:
    return (Span(f"{label:<{_LABEL_COLUMNS}}", "dim"), *spans)


def _bar(ratio: float, style: str, columns: int) -> tuple[Span, Span]:
    width = max(columns - _LABEL_COLUMNS - _TEXT_COLUMNS, 1)
    full, eighths = divmod(round(8 * width * min(max(ratio, 0.0), 1.0)), 8)
    filled = _FULL * full + _EIGHTHS[eighths]
    return Span(filled, style), Span(_TRACK * (width - len(filled)), "dim")


def _apart(left: Line, right: Line, columns: int) -> Line:
    """Return one text at the left and one at the right; where there is no room for both, the left one is cut."""
    wide = sum(len(span.text) for span in right)
    head = cut(left, max(columns - wide - 2, 1) if wide else columns)
    gap = columns - wide - sum(len(span.text) for span in head)
    return (*head, Span(" " * max(gap, 0)), *right) if wide else head
