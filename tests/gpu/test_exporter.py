"""What a Prometheus gets where no Jupyter server runs: real processes, real sockets."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families

from jupyter_gpu_ext import cli
from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.gpu.exporter import address, serving
from jupyter_gpu_ext.gpu.textfile import replace
from tests.server.live import environment

from .conftest import wait_until

# Python without Jupyter.
PROGRAM = """
import sys
from importlib.abc import MetaPathFinder

class Blocked(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("IPython", "tornado", "jupyter_server", "traitlets", "prometheus_client"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
from jupyter_gpu_ext import cli
sys.exit(cli.main("gpu", ["metrics", *sys.argv[1:]]))
"""


@pytest.fixture(autouse=True)
def simulated(monkeypatch):
    monkeypatch.setenv("JUPYTER_GPU_SIMULATED", "2xL4")


@pytest.fixture
def served():
    """Start the verb in a process of its own and give its address and the process."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "--serve", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    said = process.stderr.readline()
    found = re.fullmatch(r"Metrics on http://127\.0\.0\.1:(\d+)/metrics, until Ctrl-C\.\n", said)
    assert found, said + process.stderr.read()
    yield int(found[1]), process
    process.kill()
    process.communicate()


def ask(port: int, method: str = "GET", path: str = "/metrics", host: str = "127.0.0.1"):
    connection = http.client.HTTPConnection(host, port, timeout=20)
    try:
        connection.request(method, path)
        reply = connection.getresponse()
        return reply.status, dict(reply.getheaders()), reply.read().decode()
    finally:
        connection.close()


def names(exposed: str) -> set[str]:
    return {family.name for family in text_string_to_metric_families(exposed)}


def test_the_text_once(capsys):
    assert cli.main("gpu", ["metrics"]) == 0
    out, err = capsys.readouterr()
    assert (err, out[-1], out[-2] == "\n") == ("", "\n", False)
    assert {"jupyter_gpu_state", "jupyter_gpu_memory_used_bytes", "jupyter_gpu_simulated"} <= names(out)


def test_a_machine_without_a_gpu_has_a_state(capsys, nvml):
    nvml.set("devices", 0)
    assert cli.main("gpu", ["metrics"]) == 0
    out, _ = capsys.readouterr()
    assert 'jupyter_gpu_state{state="no_gpu"} 1' in out
    assert names(out) == {"jupyter_gpu_state", "jupyter_gpu_stale", "jupyter_gpu_simulated"}


def test_a_file_is_replaced_and_others_may_read_it(capsys, tmp_path):
    file = tmp_path / "gpu.prom"
    file.write_text("old")
    before = file.stat().st_ino
    assert cli.main("gpu", ["metrics", "--output", str(file)]) == 0
    assert capsys.readouterr() == ("", "")
    assert "jupyter_gpu_memory_used_bytes" in names(file.read_text())
    assert file.stat().st_ino != before
    assert list(tmp_path.glob("*.prom")) + list(tmp_path.glob(".*")) == [file]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~umask


def test_a_reader_sees_the_old_file_or_the_new_one(tmp_path):
    file, ended, seen = tmp_path / "gpu.prom", threading.Event(), set()
    texts = {letter * 200_000 + "\n" for letter in "ab"}
    replace(file, min(texts))

    def read() -> None:
        while not ended.is_set():
            seen.add(file.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(20):
        for text in texts:
            replace(file, text)
    ended.set()
    reader.join()
    assert seen <= texts
    assert seen


@pytest.mark.parametrize("output", ["", "/", "."])
def test_what_names_no_file_is_said(output, capsys):
    assert cli.main("gpu", ["metrics", f"--output={output}"]) == 1
    assert "names no file" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["none/gpu.prom", "."])
def test_a_file_that_cannot_be_written_is_said_and_nothing_is_left(tmp_path, place):
    with pytest.raises(BadRequestError, match="cannot be written") as refused:
        replace(tmp_path / place, "text")
    assert refused.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_scraper_is_served_until_a_signal(served, ending):
    port, process = served
    status, headers, body = wait_until(lambda: "memory_used" in (found := ask(port))[2] and found)
    assert (status, set(headers)) == (200, {"Content-Type", "Content-Length"})
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "jupyter_gpu_memory_used_bytes" in names(body)
    process.send_signal(ending)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "", "")


def test_it_ends_while_a_scraper_dawdles(served):
    port, process = served
    with socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(b"GET /metr")
        assert ask(port)[0] == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/metrics/"),
        ("GET", "/metricsx"),
        ("GET", "/../metrics"),
        ("GET", "http://other/metrics"),
        ("POST", "/metrics"),
        ("HEAD", "/metrics"),
        ("OPTIONS", "*"),
        ("BREW", "/metrics"),
    ],
)
def test_nothing_else_is_there_and_nothing_is_told(port, method, path):
    status, headers, body = ask(port, method, path)
    assert (status, set(headers)) == (404, {"Content-Type", "Content-Length"})
    assert body == ("" if method == "HEAD" else "GET /metrics is all there is.\n")


@pytest.mark.parametrize(
    "sent",
    [
        b"\r\n",
        b"GET\r\n\r\n",
        b"\xff\xfe\r\n\r\n",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /x HTTP/9.9\r\n\r\n",
    ],
)
def test_what_is_no_http_leaks_nothing_and_ends_nothing(port, sent, capfd):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as raw:
        raw.sendall(sent)
        raw.shutdown(socket.SHUT_WR)
        answer = b""
        while more := _received(raw):
            answer += more
    assert not re.search(rb"Python|Server|Date|Traceback", answer)
    assert ask(port)[0] == 200
    assert capfd.readouterr() == ("", "")


def _received(raw: socket.socket) -> bytes:
    try:
        return raw.recv(65536)
    except ConnectionResetError:
        return b""


@pytest.fixture(scope="module")
def port():
    with environment(JUPYTER_GPU_SIMULATED="2xL4"), serving("127.0.0.1", 0) as where:
        wait_until(lambda: "memory_used" in ask(_port(where))[2])
        yield _port(where)


def _port(where: str) -> int:
    return int(where.removesuffix("/metrics").rpartition(":")[2])


def test_a_query_changes_nothing(port):
    assert ask(port, path="/metrics?name=x")[0] == 200


def test_an_address_of_ip_version_6():
    with serving("::1", 0) as where:
        assert where.startswith("http://[::1]:")
        assert ask(_port(where), host="::1")[0] == 200


def test_a_scrape_keeps_the_readings_fresh_and_asks_no_driver(nvml):
    with serving("127.0.0.1", 0) as where:
        wait_until(lambda: "memory_used" in ask(_port(where))[2])
        before = nvml.calls()
        for _ in range(20):
            ask(_port(where))
        asked = nvml.calls() - before
    # At most the thread's own next reading fell between.
    assert asked.total() <= before.total()


def test_a_port_that_is_taken_is_said(port, capsys):
    assert cli.main("gpu", ["metrics", "--serve", str(port)]) == 1
    said = capsys.readouterr().err
    assert f"127.0.0.1:{port}" in said
    assert " — Choose another port" in said


@pytest.mark.parametrize("wrong", ["", "x", "80:", "1:2:x", "70000", "-1", "9400 ", "x" * 99])
def test_what_is_no_address_is_a_line(wrong, capsys):
    assert cli.main("gpu", ["metrics", f"--serve={wrong}"]) == 2
    assert "For example --serve 9400." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("9400", ("127.0.0.1", 9400)),
        (":9400", ("127.0.0.1", 9400)),
        ("0.0.0.0:1", ("0.0.0.0", 1)),
        ("[::]:65535", ("::", 65535)),
        ("gpu01:9400", ("gpu01", 9400)),
    ],
)
def test_without_a_host_this_machine_alone_is_answered(text, found):
    assert address(text) == found


@pytest.mark.parametrize("more", [["--output", "x", "--serve", "1"], ["--json"], ["x"], ["--serv", "1"]])
def test_a_wrong_line_is_a_line(more, capsys):
    assert cli.main("gpu", ["metrics", *more]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert " — " in err
