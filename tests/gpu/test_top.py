"""`jupyter gpu top` as a person has it: on a terminal, which a program draws and a keyboard types into."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest

from jupyter_gpu_ext import cli

from .conftest import wait_until
from .terminal import ALTERNATE, terminal

PROGRAM = "import sys; from jupyter_gpu_ext import cli; sys.exit(cli.main('gpu', ['top', *sys.argv[1:]]))"
TOP = [sys.executable, "-c", PROGRAM]


@pytest.fixture(autouse=True)
def simulated(monkeypatch):
    monkeypatch.setenv("JUPYTER_GPU_SIMULATED", "2xL4")


@pytest.fixture
def driver(nvml, fake_library, monkeypatch):
    """The fake driver for programs that are started."""
    monkeypatch.setenv("LD_LIBRARY_PATH", str(fake_library.parent))
    return nvml


@pytest.fixture
def shown():
    with terminal(TOP) as running:
        running.wait_for(lambda text: "GPU 1" in text)
        yield running


def test_a_picture_fills_the_width_and_no_more(shown):
    lines = shown.lines
    assert re.fullmatch(r"jupyter gpu top  \d\d:\d\d:\d\d {33,}every 2 s · q leaves", lines[0])
    assert lines[1] == "Simulated GPUs: the numbers are made up."
    assert re.fullmatch(r"GPU 0 · Simulated L4 24 GB {20,}\d+ °C · \d+ / 72 W", lines[3])
    assert len(lines[3]) == 80
    assert re.fullmatch(r"memory [█▏▎▍▌▋▊▉░]{55}  400 MB / 24\.0 GB", lines[4])
    assert re.fullmatch(r"busy   [█▏▎▍▌▋▊▉░]{55} {13,}\d+ %", lines[5])
    assert all(len(line) <= 80 for line in lines)
    assert shown.raw.startswith(ALTERNATE)


@pytest.mark.parametrize("leave", ["q", "Q", "\x03", signal.SIGTERM], ids=repr)
def test_leaving_gives_the_terminal_back(shown, leave):
    if isinstance(leave, str):
        shown.type(leave)
    else:
        shown.process.send_signal(leave)
    assert shown.wait() == 0
    assert shown.restored
    assert b"Traceback" not in shown.raw


def test_other_keys_do_nothing(shown):
    before = len(shown.raw)
    shown.type("x\x1b[A\r")
    wait_until(lambda: shown.read(0.05) or b"jupyter gpu top" in shown.raw[before:])
    assert shown.process.poll() is None


def test_a_pause_gives_the_terminal_back_and_takes_it_again(shown):
    shown.process.send_signal(signal.SIGTSTP)
    assert os.WIFSTOPPED(os.waitpid(shown.process.pid, os.WUNTRACED)[1])
    assert shown.restored
    before = len(shown.raw)
    shown.process.send_signal(signal.SIGCONT)
    wait_until(lambda: shown.read(0.05) or b"GPU 1" in shown.raw[before:])
    assert not shown.restored
    shown.type("q")
    assert shown.wait() == 0
    assert shown.restored


def test_a_new_size_is_drawn_at_once(shown):
    shown.resize(50, 6)
    text = shown.wait_for(lambda text: "more lines" in text)
    assert [len(line) <= 50 for line in text.splitlines()] == [True] * 6
    # A device that is slowed down at this moment has a line more.
    assert re.search(r"… [56] more lines", text)
    shown.resize(100, 30)
    text = shown.wait_for(lambda text: "GPU 1" in text and "more lines" not in text)
    assert len(text.splitlines()[0]) == 100


def test_the_numbers_follow_the_driver(driver):
    driver.set("used 0", 14_900_000_000)
    with terminal([*TOP, "--interval", "1"], JUPYTER_GPU_SIMULATED="") as shown:
        text = shown.wait_for(lambda text: "14.9 / 24.0 GB" in text)
        assert "Simulated" not in text
        driver.set("used 0", 24_000_000_000)
        shown.wait_for(lambda text: "24.0 / 24.0 GB" in text)
        assert b"\x1b[31m" in shown.raw, "a full memory is red"
        driver.fail("nvmlDeviceGetCount_v2", 999)
        text = shown.wait_for(lambda text: "24.0 GB" not in text)
        assert "unknown error" in text
        driver.heal("nvmlDeviceGetCount_v2")
        shown.wait_for(lambda text: "24.0 / 24.0 GB" in text)


def test_a_driver_that_hangs_hinders_nobody_from_leaving(driver):
    driver.set("latency nvmlInitWithFlags", 600_000)
    with terminal(TOP, JUPYTER_GPU_SIMULATED="") as shown:
        shown.wait_for(lambda text: "Waiting for the GPU's driver" in text)
        shown.type("q")
        assert shown.wait() == 0
        assert shown.restored
        driver.unset("latency nvmlInitWithFlags")


def test_a_machine_without_a_gpu_says_so(driver):
    driver.set("devices", 0)
    with terminal(TOP, JUPYTER_GPU_SIMULATED="") as shown:
        text = shown.wait_for(lambda text: "leaves" in text and "Waiting" not in text)
        assert "try JUPYTER_GPU_SIMULATED=1" in text.replace("\n", " ")


def test_no_color_where_none_is_wanted():
    with terminal(TOP, NO_COLOR="1") as shown:
        shown.wait_for(lambda text: "GPU 1" in text)
        assert not re.search(rb"\x1b\[[\d;]*m", shown.raw)


def test_a_terminal_that_cannot_be_written_over_gets_text():
    with terminal([*TOP, "--interval", "1"], TERM="dumb") as shown:
        shown.wait_for(lambda text: text.count("jupyter gpu top") == 2)
        assert b"\x1b" not in shown.raw
        shown.type("\x03")
        assert shown.wait() == 0


def test_without_a_terminal_it_is_text_again_and_again():
    process = subprocess.Popen([*TOP, "-n1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    pictures, lines = 0, []
    while pictures < 4:
        lines.append(process.stdout.readline())
        pictures += lines[-1].startswith("busy")
    process.send_signal(signal.SIGINT)
    rest, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
    text = "".join(lines) + rest
    assert "\x1b" not in text
    assert text.count("GPU 0 · Simulated L4") == 2


def test_a_reader_that_has_seen_enough_is_no_error():
    with subprocess.Popen([*TOP, "-n1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(20) == 0
        assert process.stderr.read() == ""


def test_one_picture(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert cli.main("gpu", ["top", "--once"]) == 0
    out, err = capsys.readouterr()
    assert (err, out.count("GPU 1"), "\x1b" in out) == ("", 1, False)
    assert max(map(len, out.splitlines())) == 60


@pytest.mark.parametrize("more", [["--interval", "0"], ["--interval", "3601"], ["-n", "0.5"], ["--json"], ["x"]])
def test_a_wrong_line_is_a_line(more, capsys):
    assert cli.main("gpu", ["top", "--once", *more]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert " — " in err
