from __future__ import annotations

import re
import time

import pytest

from tests.conftest import AZURITE_KEY, write_connections
from tests.server.test_secrets import found

# A slow line of code in a kernel, not of ours.
SOON_SECONDS = 2.5


def one_line(outcome):
    """Return the line that a failed cell shows; fail unless it is all that is shown."""
    assert outcome.status == "error"
    assert outcome.stderr == ""
    (line,) = outcome.traceback
    assert "\n" not in line
    assert "Traceback" not in line
    return re.sub(r"\x1b\[\d+m", "", line)


def names(cells):
    return set(cells.value("[name for name in dir() if not name.startswith('_')]"))


def test_a_name_that_was_given_is_bound_and_nothing_returned(cells):
    outcome = cells.run("%load_blob disk://net.safetensors -o model")
    assert (outcome.status, outcome.result) == ("ok", None)
    assert outcome.said.startswith("model = 2 tensors on ")
    assert cells.value("{name: tuple(one.shape) for name, one in model.items()}") == {"w": (4, 3), "b": (3,)}


@pytest.mark.parametrize("magic", ["%load_blob", "%blob load", "%time %load_blob"])
def test_the_bare_form_binds_the_stem_and_says_so(cells, magic):
    outcome = cells.run(f"{magic} disk://net.safetensors")
    assert (outcome.status, outcome.result) == ("ok", None)
    assert "net = 2 tensors on " in outcome.said
    assert cells.value("sorted(net)") == ["b", "w"]


def test_a_second_load_comes_from_the_cache(cells, tmp_path):
    assert cells.run(f"import os\nos.environ['JUPYTER_GPU_CACHE'] = {str(tmp_path / 'hot')!r}").status == "ok"
    try:
        assert "from the cache" not in cells.run("%load_blob slow://small.safetensors").said
        assert "kB from the cache" in cells.run("%load_blob slow://small.safetensors").said
        assert "1 object, " in cells.run("x = %blob cache ls\nprint(x)").stdout
        assert "1 object held: " in cells.run("x = %blob cache warm slow://small.safetensors\nprint(x)").stdout
        assert "removed 1 object" in cells.run("x = %blob cache clear slow://\nprint(x)").stdout
    finally:
        cells.run("del os.environ['JUPYTER_GPU_CACHE']")


@pytest.mark.parametrize(
    "code",
    [
        "x = %load_blob disk://net.safetensors",
        "x = %blob load disk://net.safetensors",
        "x = get_ipython().run_line_magic('load_blob', 'disk://net.safetensors')",
        "%time x = %load_blob disk://net.safetensors",
        "def get():\n    it = %load_blob disk://net.safetensors\n    return it\nx = get()",
        "for _i in range(2):\n    x = %load_blob disk://net.safetensors",
    ],
)
def test_an_assigned_value_is_returned_and_no_other_name_bound(cells, code):
    outcome = cells.run(code)
    assert (outcome.status, outcome.result) == ("ok", None), outcome
    assert "2 tensors on " in outcome.said
    assert "net = " not in outcome.said
    assert cells.value("sorted(x)") == ["b", "w"]
    assert cells.value("'net' in dir()") is False


@pytest.mark.parametrize(
    "code",
    [
        "%load_blob disk://net.safetensors -o net",
        "%load_blob disk://net.safetensors",
        "%load_blob disk://net.safetensors;",
        "%time %load_blob disk://net.safetensors",
        "if True:\n    %load_blob disk://net.safetensors",
        "1\n%load_blob disk://net.safetensors",
    ],
)
def test_nothing_stays_alive_once_the_name_is_deleted(cells, code):
    assert cells.run(code).status == "ok"
    assert cells.run("import gc, weakref\ngone = [weakref.ref(one) for one in net.values()]\ndel net\n_ = gc.collect()")
    assert cells.value("[ref() is None for ref in gone]") == [True, True]
    assert cells.value("list(Out.values())") == []


@pytest.mark.parametrize(
    ("line", "ename", "said"),
    [
        ("%load_blob disk://none.safetensors -o model", "NotFoundError", "disk://none.safetensors does not exist."),
        ("%load_blob disk://broken.safetensors -o model", "TensorFormatError", "broken.safetensors"),
        ("%load_blob disk://net.safetensors -o model --keys 'z*'", "BadRequestError", "z*"),
        ("%load_blob disk://net.safetensors -o model --device cuda:9", "DeviceError", "cuda:9 is not here"),
        ("%load_blob disk://net.safetensors -o model --device tpu9", "BadRequestError", "'tpu9' is no device."),
        ("%load_blob disk://net.safetensors -o model --devise cpu", "UsageError", "Did you mean --device?"),
        ("%load_blob disk://net.safetensors -o model --wrong", "UsageError", "has no option --wrong."),
        ("%load_blob disk://net.safetensors -o", "UsageError", "-o needs a value."),
        ("%load_blob 'disk://net.safetensors -o model", "UsageError", "is never closed. — End it with '."),
        ("%load_blob disk://{stem}.safetensors -o model", "UsageError", "{stem}: name 'stem' is not defined."),
        ("%load_blob disk://{1/0}.safetensors -o model", "UsageError", "ZeroDivisionError"),
        ("%load_blob -o model", "UsageError", "needs URL."),
        ("%load_blob disk://my file.safetensors -o model", "UsageError", "does not know what to do with"),
        ("%load_blob disk://os.safetensors", "UsageError", "os is already a module here. — Add -o NAME."),
        ("%load_blob disk://net.safetensors -o print", "UsageError", "needs a free variable name, not 'print'."),
        ("%load_blob disk://net.safetensors -o __builtins__", "UsageError", "needs a free variable name"),
        ("%load_blob disk://net.safetensors -o a.b", "UsageError", "needs a free variable name"),
        ("%load_blob disk://net.safetensors -o 'x;import os'", "UsageError", "needs a free variable name"),
        ("%load_blob disk://net.safetensors -o Out", "UsageError", "needs a free variable name"),
        ("x = %load_blob disk://net.safetensors -o model", "UsageError", "Leave out -o model."),
        ("%load_blob none://net.safetensors -o model", "NotFoundError", "There is no connection 'none'"),
        ("%load_blob az://c/net.safetensors -o model", "BadRequestError", "az:// needs a connection"),
        ("%load_blob net.safetensors -o model", "BadRequestError", "is not an object URL."),
        ("%blob lst disk://", "UsageError", "Did you mean blob ls?"),
        ("%blob ls disk://none/", "NotFoundError", "does not exist"),
        ("%blob ls disk:// --limit many", "UsageError", "--limit needs a whole number"),
        ("%blob ls disk:// --limit 0", "BadRequestError", "limit is 0."),
        ("%gpu statos", "UsageError", "Did you mean gpu status?"),
        ("%gpu status now", "UsageError", "does not know what to do with now"),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(cells, line, ename, said):
    assert cells.run("import os\nmodel = 'the old one'\nx = 1").status == "ok"
    before = names(cells)
    outcome = cells.run(line)
    shown = one_line(outcome)
    assert outcome.ename == ename
    assert said in shown
    assert " — " in shown, "no hint"
    assert (cells.value("model"), cells.value("x"), cells.value("type(os).__name__")) == ("the old one", 1, "module")
    assert names(cells) == before


def test_a_builtin_is_not_hidden_by_the_bare_form(cells):
    outcome = cells.run("%load_blob disk://list.safetensors")
    assert outcome.said.startswith("list_ = 2 tensors")
    assert cells.value("list((1,))") == [1]


def test_a_variable_and_an_expression_are_filled_in(cells):
    cells.run("d = {'k': 'my file'}; where = 'disk'")
    outcome = cells.run("""%load_blob "$where://{d['k']}.safetensors" -o model""")
    assert outcome.status == "ok", outcome
    assert cells.value("len(model)") == 2


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("%load_blob --help", "blob load URL [OPTIONS]"),
        ("%blob --help", "blob ls"),
        ("%blob", "blob plan"),
        ("%blob ls --help", "blob ls [URL] [OPTIONS]"),
        ("%gpu --help", "gpu status"),
        ("%gpu status -h", "gpu status"),
    ],
)
def test_help_is_printed(cells, line, shown):
    outcome = cells.run(line)
    assert (outcome.status, outcome.result) == ("ok", None)
    assert shown in outcome.stdout


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("%blob ls", "disk://"),
        ("%blob ls disk://", "net.safetensors"),
        ("%blob info disk://net.safetensors", "4 × 3"),
        ("%blob plan disk://net.safetensors --keys w", "1 tensor"),
        ("%gpu", "Simulated GPUs: the numbers are made up."),
        ("%gpu status", "GPU 0 · Simulated L4"),
    ],
)
def test_what_is_asked_is_shown(cells, line, shown):
    outcome = cells.run(line)
    assert outcome.status == "ok", outcome
    assert shown in outcome.result


def test_a_slow_load_shows_its_progress_in_one_place_and_ends_in_its_receipt(cells, proxy):
    proxy.bytes_per_second = 6_000_000
    outcome = cells.run("%load_blob slow://big.safetensors -o model")
    assert outcome.status == "ok", outcome
    kinds = [kind for kind, _ in outcome.displays]
    assert kinds == ["display_data"] + ["update_display_data"] * (len(kinds) - 1)
    assert len({content["transient"]["display_id"] for _, content in outcome.displays}) == 1
    bundles = [content["data"] for _, content in outcome.displays]
    states = [one[MIME] for one in bundles]
    assert [one["state"] for one in states] == ["running"] * (len(states) - 1) + ["done"]
    done = [one["done_bytes"] for one in states]
    assert done == sorted(done)
    assert all(one["total_bytes"] == 12_000_000 for one in states)
    assert done[-1] == 12_000_000
    assert all(one["title"] == "slow://big.safetensors" for one in states)
    assert states[-2]["stage"] == "network"
    assert states[-2]["note"].startswith("weights fit; ")
    assert bundles[-1]["text/plain"].endswith(", bound by the network)")
    assert all("slow://big.safetensors: " in one["text/plain"] for one in bundles[:-1])
    assert bundles[-1]["text/plain"].startswith("model = 1 tensor on ")
    # The last state is the receipt: it is not printed a second time.
    assert outcome.stdout == ""


MIME = "application/vnd.jupyter-gpu-ext.progress+json"


def test_a_quick_load_shows_no_bar(cells):
    outcome = cells.run("%load_blob slow://small.safetensors -o model")
    assert (outcome.status, outcome.displays) == ("ok", [])
    assert outcome.said.startswith("model = 1 tensor on ")


@pytest.mark.parametrize("stalled", [False, True], ids=["slow", "stalled"])
def test_an_interrupted_load_ends_at_once_and_leaves_nothing(cells, kernel, proxy, stalled):
    """The kernel is interrupted as the Cancel button does it, while storage trickles or says nothing more."""
    cells.run("model = 'the old one'")
    proxy.bytes_per_second = 1_500_000
    interrupted_at = []

    def watch(outcome):
        if outcome.displays and not interrupted_at:
            proxy.bytes_per_second = 0 if stalled else proxy.bytes_per_second
            interrupted_at.append(time.monotonic())
            kernel.interrupt_kernel()

    outcome = cells.finish(cells.start("%load_blob slow://big.safetensors -o model"), watch=watch)
    took = time.monotonic() - interrupted_at[0]
    proxy.bytes_per_second = float("inf")
    assert one_line(outcome) == "KeyboardInterrupt: Cancelled; nothing was changed."
    assert outcome.ename == "KeyboardInterrupt"
    assert took < SOON_SECONDS
    assert outcome.displays[-1][1]["data"][MIME]["state"] == "cancelled"
    assert cells.value("model") == "the old one"
    assert alive(cells) == []
    # The next load is served.
    assert cells.run("%load_blob slow://small.safetensors -o model").status == "ok"


def alive(cells):
    """Return what is left of loads in the kernel: each long tensor or buffer, and who refers to it."""
    cells.run(
        """
import gc as _gc, torch as _t
def _holder(x):
    if isinstance(x, dict):
        return f"dict of {[str(name)[:20] for name in x][:6]}"
    return " ".join(map(str, (type(x).__name__, getattr(x, "f_code", ""), getattr(x, "f_lineno", ""))))
def _alive():
    _gc.collect()
    for x in _gc.get_objects():
        if issubclass(type(x), (_t.Tensor, memoryview)):
            size = x.nbytes if isinstance(x, memoryview) else x.untyped_storage().nbytes()
            if size >= 1_000_000:
                holders = [_holder(one) for one in _gc.get_referrers(x) if type(one) is not list]
                yield f"{type(x).__name__} of {size} bytes held by {holders}"
"""
    )
    cells.run("_left = list(_alive())")
    return cells.value("_left")


def test_a_load_that_fails_half_way_says_so_in_the_bar_and_keeps_only_what_it_says(cells, proxy, stores):
    cells.run("model = 'the old one'")
    proxy.bytes_per_second = 1_500_000
    seen = []

    def watch(outcome):
        if outcome.displays and not seen:
            seen.append(True)
            proxy.fail()

    outcome = cells.finish(cells.start("%load_blob slow://big.safetensors -o model"), watch=watch)
    proxy.heal()
    kept = "parts kept on cpu" in one_line(outcome)
    assert outcome.displays[-1][1]["data"][MIME]["state"] == "failed"
    assert cells.value("model") == "the old one"
    released = cells.run(
        "from jupyter_gpu_ext.tensors.unfinished import UNFINISHED\nprint(UNFINISHED.release())"
    ).stdout
    assert (int(released) > 0) is kept
    assert alive(cells) == []


def test_loading_the_extension_again_is_harmless(cells):
    assert cells.run("%load_ext jupyter_gpu_ext").status == "ok"
    again = cells.run("%reload_ext jupyter_gpu_ext")
    assert again.status == "ok"
    assert len(again.stdout.splitlines()) == 3
    assert cells.run("%load_blob disk://net.safetensors -o model").stdout.count("model = ") == 1


def test_the_greeting(cells, stores):
    from jupyter_gpu_ext import __version__

    first, second, third = cells.run("%reload_ext jupyter_gpu_ext").stdout.splitlines()
    assert re.fullmatch(
        rf"jupyter_gpu_ext {re.escape(__version__)} · Simulated L4 24 GB, [\d.]+ GB of 24.0 GB free", first
    )
    assert second == "connections: disk://, slow://, out://"
    assert third == "Help: %blob --help, %gpu --help"


@pytest.mark.parametrize(
    ("connections", "said"),
    [
        ({}, "connections: none, %blob connect"),
        ({"bad": {"root": "relative"}}, "connections: bad is not usable (`%blob ls` says why)"),
        (
            {"disk": {"root": "/tmp"}, "bad": {"root": "relative"}},
            "connections: disk://, bad is not usable (`%blob ls` says why)",
        ),
    ],
    ids=["none", "bad", "both"],
)
def test_the_greeting_says_what_is_wrong_with_the_connections(cells, tmp_path, connections, said):
    file = tmp_path / "other.toml"
    write_connections(file, **connections)
    before = cells.value("__import__('os').environ['JUPYTER_GPU_CONNECTIONS']")
    cells.run(f"import os; os.environ['JUPYTER_GPU_CONNECTIONS'] = {str(file)!r}")
    try:
        lines = cells.run("%reload_ext jupyter_gpu_ext").stdout.splitlines()
    finally:
        cells.run(f"import os; os.environ['JUPYTER_GPU_CONNECTIONS'] = {before!r}")
    assert lines[1] == said.format(file=file)


@pytest.mark.parametrize(
    "line",
    [
        "%load_blob https://a.blob.core.windows.net/c/k.pt?sv=1&sig=c2VjcmV0LXNpZ25hdHVyZQ%3D%3D",
        "%blob ls https://a.blob.core.windows.net/c?sig=c2VjcmV0LXNpZ25hdHVyZQ",
        "%blob info 'disk://x?sig=c2VjcmV0LXNpZ25hdHVyZQ'",
        "%blob c2VjcmV0 --sig=c2VjcmV0LXNpZ25hdHVyZQ",
    ],
)
def test_a_secret_in_a_line_is_not_repeated_by_its_error(cells, line):
    outcome = cells.run(line)
    one_line(outcome)
    echoed = [m for m in outcome.messages if m["msg_type"] != "execute_input"]
    assert "LXNpZ25hdHVyZQ" not in str(echoed)


def test_a_shell_without_a_kernel_has_the_magics_and_prints_no_bar(stores, monkeypatch, capsys):
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    from jupyter_gpu_ext.magics import progress

    monkeypatch.setenv("JUPYTER_GPU_CONNECTIONS", str(stores / "connections.toml"))
    monkeypatch.setattr(progress, "_SHOW_AFTER_SECONDS", 0)
    shell = InteractiveShell(config=Config(HistoryManager={"enabled": False}))
    shell.run_cell("%load_ext jupyter_gpu_ext")
    assert shell.run_cell("%load_blob disk://net.safetensors -o model --device cpu").success
    assert sorted(shell.user_ns["model"]) == ["b", "w"]
    printed = capsys.readouterr().out.splitlines()
    assert [line.partition(" = ")[0] for line in printed[3:]] == ["model"]


def test_the_account_key_is_in_nothing_that_a_notebook_keeps(cells, proxy):
    lines = [
        "%blob ls",
        "%blob ls slow://",
        "%blob info slow://small.safetensors",
        "%blob plan slow://small.safetensors",
        "%load_blob slow://small.safetensors -o model",
        "%load_blob slow://none.safetensors -o model",
        "%gpu",
        "%reload_ext jupyter_gpu_ext",
        "import jupyter_gpu_ext as jg; jg.ls('slow://')",
        "from jupyter_gpu_ext.storage import backends; backends._OPEN",
    ]
    kept = "".join(str(cells.run(line).messages) for line in lines)
    assert "small.safetensors" in kept
    assert found(AZURITE_KEY, kept) == []


def test_an_expression_sees_the_variables_of_its_function(cells):
    function = "def load(which):\n    found = %load_blob disk://{which}.safetensors\n    return sorted(found)"
    assert "['b', 'w']" in str(cells.run(f"{function}\nload('net')").messages)
