from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_gpu_ext.gpu.frame import Span, cut, fitting, frame, to_text
from jupyter_gpu_ext.gpu.models import DeviceSample, ProcessMemory, State, Status
from jupyter_gpu_ext.gpu.own import OwnProcess

from .readings import CARD, SLICE, device, reading, status
from .test_metrics import STATUSES

GOLDEN = Path(__file__).with_name("golden") / "top.txt"
NOBODY = ()


def nobody(_processes):
    return NOBODY


def text(shown: Status, own=nobody, columns: int = 80, note: str = "") -> str:
    return "\n".join(to_text(line, styled=False).rstrip() for line in frame(shown, own, columns=columns, note=note))


def full() -> Status:
    """Two cards, one cut into slices, one in trouble, and one that is not read."""
    hot = reading(
        uuid="b",
        temperature_celsius=88.0,
        memory_used_bytes=39_500_000_000,
        throttled_by=("temperature", "power limit"),
        ecc_uncorrected_count=1,
        needs_reset=True,
    )
    denied = {"memory_used_bytes": "insufficient permissions", "utilization_ratio": "insufficient permissions"}
    part = DeviceSample(
        uuid=SLICE,
        memory_used_bytes=5 * 10**8,
        utilization_ratio=None,
        unavailable={"utilization_ratio": "of the card"},
    )
    blocked = DeviceSample(uuid="c", memory_used_bytes=None, utilization_ratio=None, unavailable=denied)
    return status(
        devices=(
            device(),
            device(index=1, uuid="b"),
            device(index=2, uuid="c", name="NVIDIA L4", memory_total_bytes=None),
            device(index=3, uuid=SLICE, name="MIG 1g.5gb", memory_total_bytes=5 * 10**9, slice_of=CARD),
        ),
        now=(reading(throttled_by=(), processes=(ProcessMemory(pid=1, memory_bytes=1),)), hot, part, blocked),
        samples=(),
    )


def test_the_picture_is_as_it_was():
    own = [
        OwnProcess(pid=4711, name="python", memory_bytes=9_400_000_000),
        OwnProcess(pid=12, name="x", memory_bytes=None),
    ]
    of_the_card = frame(full(), lambda processes: own if processes else (), columns=80, note="every 2 s · q leaves")
    assert "\n".join(to_text(line, styled=False) for line in of_the_card) + "\n" == GOLDEN.read_text()


def test_slices_stand_under_their_card_and_orphans_last():
    orphan = device(index=4, uuid="d", name="orphan", slice_of="nobody")
    shown = replace(full(), devices=(orphan, *full().devices))
    names = [line.strip() for line in text(shown).splitlines() if line.strip().startswith(("GPU ", "└"))]
    assert [one.split("  ")[0] for one in names] == [
        "GPU 0 · NVIDIA A100 40 GB",
        "└ slice 3 · MIG 1g.5gb",
        "GPU 1 · NVIDIA A100 40 GB",
        "GPU 2 · NVIDIA L4",
        "└ slice 4 · orphan",
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"simulated": True}, "Simulated GPUs: the numbers are made up."),
        ({"stale": True}, "has not answered for a while"),
        ({"state": State.BROKEN, "reason": "Broken.", "hint": "Reboot.", "devices": ()}, "Broken.\nReboot."),
        ({"state": State.NO_GPU, "reason": "word " * 40, "devices": ()}, "word word\nword"),
        ({"reason": "\x1b[31mred"}, r"\x1b[31mred"),
    ],
)
def test_what_is_not_well_is_said_first(changes, said):
    assert said in text(status(**changes)).split("\n\n")[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"power_limit_watts": None}, "61 °C · 212 W\n"),
        ({"power_watts": None}, "61 °C\n"),
        ({"temperature_celsius": None}, " 212 / 400 W\n"),
        ({"throttled_by": ()}, "52 %\n"),
        ({"utilization_ratio": None}, "busy   unknown (not reported)\n"),
        ({"ecc_uncorrected_count": 2}, "\n2 uncorrected memory errors\n"),
    ],
)
def test_what_is_not_reported_leaves_no_hole(changes, said):
    assert said in text(status(now=(reading(**changes),)))


def test_unified_memory_says_whose_it_is():
    assert "its memory is the system's" in text(status(devices=(device(shares_memory=True),)))


def test_many_processes_are_counted():
    own = [OwnProcess(pid=at, name="python", memory_bytes=10**9) for at in range(7)]
    shown = text(status(devices=(device(),)), lambda _: own)
    assert shown.count("python") == 4
    assert shown.endswith("yours  and 3 more")


@pytest.mark.parametrize(("ratio", "style"), [(0.5, "good"), (0.9, "warn"), (0.99, "bad"), (2.0, "bad")])
def test_a_bar_changes_its_colour_as_it_fills(ratio, style):
    shown = frame(status(now=(reading(memory_used_bytes=int(ratio * 40 * 10**9)),)), nobody, columns=80)
    (bar,) = [line for line in shown if line and line[0].text == "memory " and "GB" in line[-1].text][:1]
    assert bar[1].style == style
    assert sum(len(span.text) for span in bar) == 80


@given(STATUSES, st.integers(1, 200))
def test_no_line_is_wider_than_the_terminal(shown, columns):
    lines = frame(shown, nobody, columns=columns, note="every 2 s · q leaves")
    plain = [to_text(line, styled=False) for line in lines]
    assert all(len(line) <= max(columns, 24) for line in plain)
    assert not any(char < " " for line in plain for char in line)


@given(st.integers(0, 30), st.integers(0, 30))
def test_what_does_not_fit_is_counted(count, rows):
    shown = fitting([(Span(str(at)),) for at in range(count)], rows)
    assert len(shown) == min(count, rows)
    if 0 < rows < count:
        assert shown[-1][0].text.startswith(f"… {count - rows + 1} more line")


@given(st.lists(st.text(max_size=5), max_size=5), st.integers(1, 20))
def test_a_line_is_cut_with_an_ellipsis(texts, columns):
    whole = "".join(texts)
    shown = to_text(cut([Span(one) for one in texts], columns), styled=False)
    assert shown == (whole if len(whole) <= columns else whole[: columns - 1] + "…")
