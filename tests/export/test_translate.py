"""One rule, one small notebook: what becomes of it, and what is refused and how."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from jupyter_gpu_ext.errors import ExportRefusedError
from jupyter_gpu_ext.export import translators
from jupyter_gpu_ext.export.script import make_script
from tests.export.notebooks import body, code, notebook, script, text

WITH_MAGICS = "with jg.measure():\n    pass  # dropped: %load_ext x\n    print(jg.gpu.who())  # c"


@pytest.mark.parametrize(
    ("cells", "python"),
    [
        (["url = 1", "%load_blob $url -o m"], "m = jg.load(url)"),
        (["%load_blob $url -o m"], 'm = jg.load("$url")'),
        (["if 1:\n    u = 2\n%load_blob $u -o m"], "if 1:\n    u = 2\nm = jg.load(u)"),
        (["%load_blob a://x.pt", "%blob ls $x"], "print(jg.ls(x))"),
        (["%load_blob a://x.pt\n%blob ls $x"], 'x = jg.load("a://x.pt")\nprint(jg.ls(x))'),
        (["import a.b as q, c.d", "%blob ls $q/$c"], 'print(jg.ls(f"{q}/{c}"))'),
        (["try: pass\nexcept E as e:\n  %blob ls $e"], "try: pass\nexcept E as e:\n  print(jg.ls(e))"),
        (["def f(u):\n  return 1", "%blob info u"], 'print(jg.info("u"))'),
        (["class A:\n    u = 1\n    x = %load_blob $u"], "class A:\n    u = 1\n    x = jg.load(u)"),
        (["\n\n  %blob ls a\n  y = 1"], 'print(jg.ls("a"))\ny = 1'),
        ([">>> %blob ls a\n>>> y = 1"], 'print(jg.ls("a"))\ny = 1'),
        (["x = 1 # a\r\n%blob ls a\ry = '''\r\n'''"], "x = 1 # a\nprint(jg.ls(\"a\"))\ny = '''\n'''"),
        (["%time"], "# dropped: %time"),
        (["%%time\n%%time\nx = 1"], "# dropped: %%time\n# dropped: %%time\nx = 1"),
        (["if 1:\n    %time x = %blob ls a"], 'if 1:\n    x = jg.ls("a")'),
        (["%%gpu\nx = 1"], "with jg.measure():\n    x = 1"),
        (["%%gpu\n\n# c\n\nx = 1\n"], "with jg.measure():\n    # c\n\n    x = 1"),
        (["%%gpu\n# only"], "with jg.measure():\n    pass\n    # only"),
        (["%%gpu\n%load_ext x\n%gpu who  # c"], WITH_MAGICS),
        (["%%gpu\nif 1:\n  %load_blob a://x.pt"], 'with jg.measure():\n    if 1:\n      x = jg.load("a://x.pt")'),
        (
            ["%%gpu\nx = '''a\n  b'''\ny = f'''{x}\n'''"],
            "with jg.measure():\n    x = '''a\n  b'''\n    y = f'''{x}\n'''",
        ),
        (["%%gpu\nx = (1,\n2)"], "with jg.measure():\n    x = (1,\n    2)"),
        (["%%time\n%%gpu\nx = 1"], "# dropped: %%time\nwith jg.measure():\n    x = 1"),
        (["%%gpu\n%%time\nx = 1"], "with jg.measure():\n    # dropped: %%time\n    x = 1"),
        (["jg = 1", "%%gpu\nx = 1"], "with _jg.measure():\n    x = 1"),
        (["%gpu release"], "print(jg.gpu.release())"),
        (["n = 'cache'", "%gpu release $n outputs"], 'print(jg.gpu.release(n, "outputs"))'),
        (["held = %gpu who"], "held = jg.gpu.who()"),
        (["%load_ext x # c"], "# dropped: %load_ext x # c"),
        (["_ = 1\nfor _ in (): pass\nprint(_)"], "_ = 1\nfor _ in (): pass\nprint(_)"),
        (["ls = 1\nls"], "ls = 1\nls"),
        (["%%bash\nls $x\necho"], 'shell.script("bash",\n    "ls $x",\n    "echo",\n)'),
        (["%%script python3 -u\nls"], 'shell.script("python3 -u", "ls")'),
        (["f = 1", "%%writefile -a $f\na"], 'shell.append(f, "a")'),
        (["%%writefile 'a b.py'\nx = 1\n"], 'shell.write("a b.py", "x = 1")'),
        (["%%capture\nx = 1"], "with capture():\n    x = 1"),
        (["%%capture said\n%%time\n!ls"], 'with capture() as said:\n    # dropped: %%time\n    shell.run("ls")'),
        (["capture = 1", "%%capture x\n1"], "with _capture() as x:\n    1"),
        (["%%html\n<b>"], "# dropped: %%html"),
        (["%timeit x = 1\ny = 1"], "# dropped: %timeit x = 1\ny = 1"),
        (["%%timeit\nx = 1"], "# dropped: %%timeit"),
        (["%%prun\nx = 1"], "# dropped: %%prun\nx = 1"),
        (["%prun x = 1"], "x = 1"),
        (["import torch", "torch.save(x, 'a')  # c"], "first(torch.save)(x, 'a')  # c"),
        (["import numpy as np, torch.nn as nn", "np.save('a', nn.save(1))"], "first(np.save)('a', nn.save(1))"),
        (["from torch import save as keep", "if 1: keep({\n}, 'a')"], "if 1: first(keep)({\n}, 'a')"),
        (["torch = 1", "torch.save(x)"], "torch.save(x)"),
        (["import torch.distributed.checkpoint as torch", "torch.save(x)"], "torch.save(x)"),
        (["plt.gcf().savefig('a')"], "first(plt.gcf().savefig)('a')"),
        (["x = %save_blob y a://b"], 'x = first(jg.save)(y, "a://b")'),
        (["!pip install x && make"], 'shell.run("pip install x && make")'),
        (["!/opt/bin/python3.11 -m pip install x"], None),
        (["n = 1", "%run lib/a.py --n $n 'b c'"], 'globals().update(_run_file("lib/a.py", "--n", n, "b c"))'),
        (["if 1:\n    %run a"], 'if 1:\n    globals().update(_run_file("a"))'),
        (["from a import *", "!echo $HOME {{x}}"], '_shell.run("echo $HOME {{x}}")'),
        (["import math?"], "# dropped: math?"),
        (["x = 1\nlen??"], "x = 1\n# dropped: len??"),
        (["d = [1]", "!echo {[one for one in d]}"], 'shell.run(f"echo {[one for one in d]}")'),
    ],
)
def test_becomes(cells: list[str], python: str | None) -> None:
    said = f"# dropped: {cells[-1]} (put it into the requirements)"
    assert body(*cells) == (said if python is None else python)


@pytest.mark.parametrize(
    ("cells", "place", "message", "hint"),
    [
        (["x = 1\n%foo a"], "Cell 1, line 2", "%foo has no translation", "tag the cell `skip`"),
        ([text("#"), "\n\nx = 1\n%%foo"], "Cell 2, line 4", "%%foo has no translation", "skip"),
        (["%%perl6\nls"], "Cell 1, line 1", "%%perl6 has no translation", "skip"),
        (["# c\n%%time\nx = 1"], "Cell 1, line 2", "%%time has no translation", "skip"),
        (["%run -i a.py"], "Cell 1, line 1", "%run -i a.py has no translation", "without options"),
        (["%run a.py *.txt"], "Cell 1, line 1", "has no translation", "wildcards"),
        (["%run a.py # c"], "Cell 1, line 1", "has no translation", "without options"),
        (["%run"], "Cell 1, line 1", "has no translation", "the file"),
        (["x = %run a.py"], "Cell 1, line 1", "%run has no translation", "skip"),
        (["1\n%run ../a.ipynb"], "Cell 1, line 2", "%run ../a.ipynb needs IPython", "Export that notebook"),
        (["%run a.py", "!ls $u"], "Cell 2, line 1", "cannot be seen", "by its name"),
        (["%run a.py\n%load_blob $u -o m"], "Cell 1, line 2", "cannot be seen", "by its name"),
        (["from a import *", "!ls {u}"], "Cell 2, line 1", "cannot be seen", "by its name"),
        (["%%bash --out x\nls"], "Cell 1, line 1", "%%bash --out x has no translation", "without options"),
        (["%%capture --no-stderr x\nls"], "Cell 1, line 1", "%%capture has no translation", "skip"),
        (["%%capture in\nls"], "Cell 1, line 1", "%%capture has no translation", "skip"),
        (["%%writefile\nls"], "Cell 1, line 1", "%%writefile has no translation", "Name one file"),
        (["x = 1\nx = %prun x"], "Cell 1, line 2", "%prun has no translation", "skip"),
        (["%blob ls \\\n  a \\\n  b\n%foo"], "Cell 1, line 1", "does not know what to do with b", "quotes"),
        (["%blob ls \\\n  a\n\n%foo"], "Cell 1, line 4", "%foo", "skip"),
        (["%%time\n\n# c\n%foo"], "Cell 1, line 4", "%foo", "skip"),
        (["%%gpu\n\n# c\n%foo"], "Cell 1, line 4", "%foo", "skip"),
        (["%%gpu\nx = 1\n%%foo"], "Cell 1, line 3", "%%foo", "skip"),
        (["%%gpu -x\nx"], "Cell 1, line 1", "%%gpu", "skip"),
        (["%%gpu"], "Cell 1, line 1", "%%gpu", "skip"),
        (["x = get_ipython().run_cell_magic('gpu', '', '')"], "Cell 1, line 1", "%%gpu", "skip"),
        (["%%gpu\nfrom __future__ import annotations"], "Cell 1, line 2", "__future__", "Fix it"),
        (["%%time -n\nx"], "Cell 1, line 1", "%%time", "skip"),
        (["%time --no-raise-error x"], "Cell 1, line 1", "%time", "skip"),
        (["%blob lz x"], "Cell 1, line 1", "'lz'", "One of"),
        (["x = %load_blob a://b -o y"], "Cell 1, line 1", "two names", "-o y"),
        (["%load_blob {u}"], "Cell 1, line 1", "depends on a variable", "-o NAME"),
        (["def f():\n    %load_blob a://x.pt"], "Cell 1, line 2", "binds x outside", "Write x = %load_blob"),
        (["%blob ls $u", "u = 1"], "Cell 1, line 1", "only further down", "order"),
        (["x = %load_blob $x"], "Cell 1, line 1", "only further down", "order"),
        (["!ls $u", "u = 1"], "Cell 1, line 1", "only further down", "order"),
        (["u = 1\n!ls $u $HOME"], "Cell 1, line 2", "some are not", "in Python first"),
        (["u = 1\n!awk '{print $1}' {u}"], "Cell 1, line 2", "some are not", "in Python first"),
        (["x = %who_ls"], "Cell 1, line 1", "%who_ls gives a value only in a notebook", "skip"),
        (["%cd -"], "Cell 1, line 1", "%cd -", "Name the folder"),
        (["%env A{x}=1"], "Cell 1, line 1", "%env A{x}=1", "os.environ"),
        (["ls"], "Cell 1, line 1", "`ls` needs its %", "Write %ls."),
        (["ls -la"], "Cell 1, line 1", "`ls` needs its %", "Write %ls."),
        (["x = 1\ncd /tmp"], "Cell 1, line 2", "`cd` needs its %", "Write %cd."),
        (["pip install x"], "Cell 1, line 1", "`pip` needs its %", "Write %pip."),
        (["print('a'"], "Cell 1, line 1", "Python says: '(' was never closed", "Fix it"),
        (["x = 1\nreturn x"], "Cell 1, line 2", "'return' outside function", "Fix it"),
        (["1\n%gpu top"], "Cell 1, line 2", "gpu top needs a terminal", "jupyter gpu top"),
        (["ip = get_ipython()"], "Cell 1, line 1", "get_ipython() exists only", "skip"),
        (["get_ipython().magic('ls')"], "Cell 1, line 1", "get_ipython() exists only", "skip"),
        (["get_ipython().system(cmd)"], "Cell 1, line 1", "get_ipython() exists only", "skip"),
        (["f(get_ipython)"], "Cell 1, line 1", "get_ipython() exists only", "skip"),
        (["1\nOut[3]"], "Cell 1, line 2", "Out exists only", "name of its own"),
        (["x = _"], "Cell 1, line 1", "_ exists only", "name of its own"),
        (["x = _i7"], "Cell 1, line 1", "_i7 exists only", "name of its own"),
        (["x = 1", "def f():\n    global x\n", "global y\ny = 1", "y = 2\nglobal y"], "Cell 4", "y", "skip"),
        (
            ["from math import *", "x = 1", "from cmath import *\nawait x"],
            "The notebook awaits",
            "import *",
            "one by one",
        ),
        (["await x", "exec('y = 1')"], "The notebook awaits", "exec()", "globals()"),
        (["a = b = %blob ls"], "Cell 1, line 1", "Python says", "Fix it"),
        (["x = 1\nx += %blob ls"], "Cell 1, line 2", "Python says", "Fix it"),
        (["print(%blob ls)"], "Cell 1, line 1", "Python says", "Fix it"),
        (["def f():\n    return %blob ls"], "Cell 1, line 2", "Python says", "Fix it"),
        (["if 1: %blob ls"], "Cell 1, line 1", "Python says", "Fix it"),
        (["import os; %blob ls"], "Cell 1, line 1", "Python says", "Fix it"),
        (["!ls\nprint(_exit_code)"], "Cell 1, line 2", "_exit_code exists only", "name of its own"),
        (["x = In[2]"], "Cell 1, line 1", "In exists only", "name of its own"),
    ],
)
def test_is_refused(cells: list[str], place: str, message: str, hint: str) -> None:
    with pytest.raises(ExportRefusedError) as refused:
        script(*cells)
    assert refused.value.message.startswith(place)
    assert message in refused.value.message
    assert hint in refused.value.hint
    assert "\n" not in str(refused.value)


def test_all_cells_that_are_refused_are_named() -> None:
    cells = [
        "%foo",
        "x = 1",
        "%load_blob a://b.pt -o w\n%%bar",
        "%blob ls $w\n%load_blob $w --into",
        "%blob lz",
        "ok = x",
    ]
    with pytest.raises(ExportRefusedError) as refused:
        script(*cells)
    found = str(refused.value).split(" · ")
    assert [one[: one.index(":")] for one in found] == [
        f"Cell {one}" for one in ("1, line 1", "3, line 2", "4, line 2", "5, line 1")
    ]
    assert all(" — " in one for one in found)


def test_of_cells_that_python_cannot_read_all_are_named() -> None:
    with pytest.raises(ExportRefusedError, match=r"^Cell 1, line 1: .* · Cell 3, line 1: .*[^0-9]$"):
        script("x = ", "%foo", "(")


def test_a_long_list_of_refusals_ends() -> None:
    with pytest.raises(ExportRefusedError) as refused:
        script(*["%foo"] * 14)
    assert str(refused.value).endswith("· and 4 more cells")


def test_a_global_statement_has_no_effect_as_in_the_notebook() -> None:
    assert body("y = 1", "global y\ny = 2") == "pass\ny = 2"


def test_a_skipped_cell_is_left_out_unread() -> None:
    assert body(code("%%bash\nsig=abcdefghijkl1234", "skip")) == "# left out: tagged skip"


def test_names_of_skipped_cells_are_not_bound() -> None:
    assert body(code("u = 1", "skip"), "%blob ls $u") == 'print(jg.ls("$u"))'


def test_only_what_is_used_is_imported() -> None:
    imports = [line for line in script("x = 1", text("a note")).splitlines() if "import" in line]
    assert imports == ["from jupyter_gpu_ext.job.start import start"]


def test_a_definition_of_display_is_kept() -> None:
    assert "job.show" not in script("def display(x): pass", "display(1)")


@pytest.mark.parametrize(
    ("first", "module"),
    [
        ("import jupyter_gpu_ext as jg", "jg"),
        ("import jupyter_gpu_ext as jg\njg = 1", "_jg"),
        ("_jg = jg = 1", "__jg"),
        ("def f(jg): pass", "_jg"),
    ],
)
def test_the_library_keeps_a_name_of_its_own(first: str, module: str) -> None:
    made = script(first, "%blob ls")
    assert f"print({module}.ls())" in made
    compile(made, "made", "exec")
    assert ("import jupyter_gpu_ext as jg" in made) == ("jupyter" in first)


def commented(*cells: str | dict[str, Any]) -> str:
    return make_script(notebook(*cells), name="x.ipynb", version="0.0.0", unknown="comment").text


def test_an_unknown_magic_may_become_a_comment() -> None:
    made = commented("%foo a\nif 1:\n    %foo b", "%%foo x\nimport os\u2028\n\n!rm")
    assert "\n    # not translated: %foo a\n    if 1:\n        pass  # not translated: %foo b\n" in made
    assert "\n    # not translated: %%foo x\n    # import os\\u2028\n    #\n    # !rm\n" in made
    compile(made, "made", "exec")


@pytest.mark.parametrize("line", ["x = %foo a", "x = get_ipython().run_cell_magic('foo', '', '')"])
def test_an_unknown_magic_with_a_value_is_refused_in_any_case(line: str) -> None:
    with pytest.raises(ExportRefusedError, match="foo has no translation"):
        commented(line)


class Entry(NamedTuple):
    """An entry point of another package."""

    load: Any
    value: str = "other:translate"


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> Any:
    def register(name: str, translate: Any) -> None:
        found = {name: [Entry(lambda: translate)]}
        monkeypatch.setattr(translators, "entry_points", lambda *, group, name: found.get(name, []))

    return register


def test_another_package_brings_its_magic(others: Any) -> None:
    others("sql", lambda line, body: translators.Translation(f"tool.run({line!r}, {body!r})", ("import tool",)))
    assert body("rows = %sql select 1\nprint(rows)") == "rows = tool.run('select 1', None)\nprint(rows)"
    made = script("%%sql db\nselect 1")
    assert "\nimport tool\n" in made
    assert "    tool.run('db', 'select 1\\n')\n" in made


def test_another_package_may_need_no_import(others: Any) -> None:
    others("two", lambda *_: "1 + 1")
    assert body("x = %two") == "x = 1 + 1"


@pytest.mark.parametrize(
    ("translate", "said"),
    [
        (lambda *_: 1 / 0, "ZeroDivisionError"),
        (lambda *_: "x = 1", "SyntaxError"),
        (lambda *_: None, "TypeError"),
        (lambda *_: translators.Translation("1", ("import os; os.abort()",)), "is no import"),
        (lambda *_: translators.Translation("1", ("os.abort()",)), "is no import"),
    ],
)
def test_a_translator_that_fails_is_named(others: Any, translate: Any, said: str) -> None:
    others("sql", translate)
    with pytest.raises(
        ExportRefusedError, match="Cell 1, line 2: The translator of %sql, other:translate, "
    ) as refused:
        script("x = 1\n%sql")
    assert said in str(refused.value)


def test_a_translator_cannot_take_a_name_of_the_notebook(others: Any) -> None:
    others("sql", lambda *_: translators.Translation("tool.x", ("import tool",)))
    with pytest.raises(ExportRefusedError, match="needs the name tool"):
        script("tool = 1\n%sql")
