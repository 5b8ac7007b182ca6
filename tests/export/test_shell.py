"""What a script has in the place of `!command`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_gpu_ext.job.shell import capture, run

if TYPE_CHECKING:
    import pytest


def test_captured_lines_are_a_list_with_views() -> None:
    lines = capture("printf 'a b\\nc\\n'; echo wrong >&2")
    assert lines == ["a b", "c", "wrong"]
    assert (lines.n, lines.s, lines.p[1]) == ("a b\nc\nwrong", "a b c wrong", Path("c"))


def test_bytes_that_are_no_text_do_not_end_the_job() -> None:
    assert capture("printf 'a\\377'") == ["a\ufffd"]


def test_a_failing_command_is_told_and_does_not_raise(capsys: pytest.CaptureFixture[str]) -> None:
    run("exit 4")
    assert capture("echo x; exit 5") == ["x"]
    told = capsys.readouterr().err.splitlines()
    assert told == [f"The shell command ended with exit code {code}." for code in (4, 5)]


def test_output_keeps_its_order(capfd: pytest.CaptureFixture[str]) -> None:
    print("before")
    run("echo within")
    print("after", flush=True)
    assert capfd.readouterr().out == "before\nwithin\nafter\n"
