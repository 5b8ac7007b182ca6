"""From a line to its verb, its Spec and its source."""

from __future__ import annotations

import pytest

from jupyter_gpu_ext.commands.grammar import name_from_url, target, to_python
from jupyter_gpu_ext.commands.lines import FAMILIES, MAGICS, HelpRequest, parse_magic
from jupyter_gpu_ext.errors import UsageError


@pytest.mark.parametrize(
    ("line", "source"),
    [
        ("blob ls", "print(jg.ls())"),
        ("blob connect", "print(jg.connect())"),
        ("blob connect s3://b -n w --writable", 'print(jg.connect("s3://b", name="w", read_only=False))'),
        ("blob ls weights://a --limit 5", 'print(jg.ls("weights://a", limit=5))'),
        ("blob ls --limit={n}", "print(jg.ls(limit=n))"),
        ("blob info weights://x.pt", 'print(jg.info("weights://x.pt"))'),
        ("blob view a://x -p w -s 0", 'print(jg.view("a://x", path="w", select="0"))'),
        ("blob plan a://x -k '!a.*' --keys b", 'print(jg.plan("a://x", keys=["!a.*", "b"]))'),
        ("blob cp a://x ~/y", 'print(jg.cp("a://x", "~/y"))'),
        ("blob cp -r {src} b:// --overwrite", 'print(jg.cp(src, "b://", recursive=True, overwrite=True))'),
        ("blob sample a://x ~/y -k t -s 0:2", 'print(jg.sample("a://x", "~/y", keys=["t"], select="0:2"))'),
        ("blob sample a://x y --max-bytes 9", 'print(jg.sample("a://x", "y", max_bytes=9))'),
        ("blob rm a://x", 'print(jg.rm("a://x"))'),
        ("blob rm -y a://x/ -r", 'print(jg.rm("a://x/", recursive=True))'),
        ("gpu", "print(jg.gpu.status())"),
        ("gpu status", "print(jg.gpu.status())"),
        ("gpu who", "print(jg.gpu.who())"),
        ("gpu release", "print(jg.gpu.release())"),
        ("gpu release cache {n} $i", 'print(jg.gpu.release("cache", n, i))'),
        ("gpu doctor", "print(jg.gpu.doctor())"),
        ("gpu doctor --preflight", "print(jg.gpu.doctor(preflight=True))"),
        ("load_blob weights://x.pt", 'x = jg.load("weights://x.pt")'),
        ("blob load weights://x.pt -o m", 'm = jg.load("weights://x.pt")'),
        ("load_blob {url} -om --device={d}", "m = jg.load(url, device=d)"),
        ("load_blob -dcuda:$i a://x.pt", 'x = jg.load("a://x.pt", device=f"cuda:{i}")'),
        ("load_blob -k{k} a://x.pt", 'x = jg.load("a://x.pt", keys=[k])'),
        ("load_blob a://{run}/x.pt", 'x = jg.load(f"a://{run}/x.pt")'),
        ("load_blob a://x.pt --cache", 'x = jg.load("a://x.pt", cache=True)'),
        ("load_blob a://x.pt --dtype bfloat16 -d fit", 'x = jg.load("a://x.pt", dtype="bfloat16", device="fit")'),
        ("load_blob a://x.pt -d 'l.*=cuda:0,*=cpu'", 'x = jg.load("a://x.pt", device="l.*=cuda:0,*=cpu")'),
        ("load_blob a://x.pt --resume --no-fit-check", 'x = jg.load("a://x.pt", resume=True, fit_check=False)'),
        ("load_blob a://x.npy --select '0:9, :' --raw", 'x = jg.load("a://x.npy", select="0:9, :", raw=True)'),
        ("load_blob a://x.pt --select -5:", 'x = jg.load("a://x.pt", select="-5:")'),
        ("load_blob a://x.pt -o m --replace", 'm = None; m = jg.load("a://x.pt")'),
        ("load_blob a://x.pt --into model", 'print(jg.load_into(model, "a://x.pt"))'),
        ("load_blob --into=a.b[0].c a://x.pt -k z", 'print(jg.load_into(a.b[0].c, "a://x.pt", keys=["z"]))'),
        ("load_blob a://x --into {f(1)} --cache", 'print(jg.load_into(f(1), "a://x", cache=True))'),
        ("load_blob a://x.pt --dry-run", 'print(jg.plan("a://x.pt", device="auto"))'),
        (
            "load_blob a://x.pt -o m --dry-run --replace --cache -d fit --dtype bf16",
            'print(jg.plan("a://x.pt", device="fit", dtype="bf16"))',
        ),
        ("blob plan a://x -d cpu --dtype bf16", 'print(jg.plan("a://x", device="cpu", dtype="bf16"))'),
        ("blob cache ls", "print(jg.cache.ls())"),
        ("blob cache clear", "print(jg.cache.clear())"),
        ("blob cache clear a://b/", 'print(jg.cache.clear("a://b/"))'),
        ("blob cache warm a://{run}/", 'print(jg.cache.warm(f"a://{run}/"))'),
        ("save_blob state weights://x.pt", 'print(jg.save(state, "weights://x.pt"))'),
        ("save_blob $i a://x.pt", 'print(jg.save(i, "a://x.pt"))'),
        ("save_blob $j a://x.pt", 'print(jg.save(j, "a://x.pt"))'),
        ("blob save {m.state_dict()} a://{run}.pt", 'print(jg.save(m.state_dict(), f"a://{run}.pt"))'),
        ("save_blob {d['k']} a://x -f pt", 'print(jg.save(d[\'k\'], "a://x", format="pt"))'),
        ("save_blob m.state_dict() a://x --overwrite", 'print(jg.save(m.state_dict(), "a://x", overwrite=True))'),
        ("blob ls -- -h", 'print(jg.ls("-h"))'),
        ("blob ls -", 'print(jg.ls("-"))'),
    ],
)
def test_a_line_has_one_source(line: str, source: str) -> None:
    magic, _, rest = line.partition(" ")
    assert to_python(parse_magic(magic, rest).bind({"i"})) == source


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("blob inf", "'inf'", "Did you mean blob info?"),
        (
            "blob zzz",
            "'zzz'",
            "save, sample, cp, rm, cache ls, cache clear, cache warm.",
        ),
        ("blob cache lst", "blob cache has no verb 'lst'", "One of: ls, clear, warm."),
        ("blob cache a://x", "'a://x'", "One of: ls, clear, warm."),
        ("blob cach ls", "'cach'", "Did you mean blob cache"),
        ("blob cache warm", "needs URL", "blob cache warm --help"),
        ("blob cache ls x", "x", "quotes"),
        ("load_blob a://x --cache=1", "--cache takes no value", "blob load --help"),
        ("blob info", "needs URL", "blob info --help"),
        ("load_blob a://x --into", "--into needs a value", "--into MODEL"),
        ("load_blob a://x --into 'f(1)'", "--into needs a variable, not 'f(1)'", "--into model"),
        ("load_blob a://x --into for", "needs a variable", "--into model"),
        ("load_blob a://x --into m -o n", "--output does not go with --into", "keeps its name"),
        ("load_blob a://x --into m --replace", "--replace does not go with --into", "keeps its name"),
        ("load_blob a://x --into m --resume", "--resume does not go with --into", "keeps its name"),
        ("load_blob a://x --into m --select 0", "--select does not go with --into", "keeps its name"),
        ("load_blob a://x --dry-run=1", "--dry-run takes no value", "blob load --help"),
        ("load_blob a://x --replace=1", "--replace takes no value", "blob load --help"),
        ("load_blob --dry-run", "needs URL", "blob load --help"),
        ("load_blob a://x --dtype a --dtype b", "--dtype is given twice", "Leave one"),
        ("blob ls a b", "b", "quotes"),
        ("blob cp a://x", "needs DST", "blob cp --help"),
        ("blob cp a://x b://y c", "c", "quotes"),
        ("blob sample a://x", "needs LOCAL", "blob sample --help"),
        ("blob sample a://x y --max-bytes 1MB", "whole number", "values at most"),
        ("blob rm", "needs URL", "blob rm --help"),
        ("blob rm a://x --yes=no", "--yes takes no value", "blob rm --help"),
        ("blob rm a://x --overwrite", "no option --overwrite", "blob rm --help"),
        ("blob ls --limt 3", "--limt", "--limit"),
        ("blob ls --limit", "needs a value", "--limit N"),
        ("blob ls --limit x", "whole number", "1 to 1000"),
        ("blob ls --limit 1 --limit 2", "twice", "Leave one."),
        ("load_blob a://x -o 1a", "'1a'", "-o model"),
        ("load_blob a://x -o for", "'for'", "-o model"),
        ("save_blob state", "needs URL", "blob save --help"),
        ("save_blob a://x.pt state", "name of a variable first", "%save_blob state"),
        ("save_blob '\"text\"' a://x.pt", "name of a variable first", "%save_blob state"),
        ("save_blob a{b}c a://x.pt", "name of a variable first", "%save_blob state"),
        ("save_blob d['k'] a://x.pt", "name of a variable first", "in braces"),
        ("save_blob x=1 a://x.pt", "name of a variable first", "%save_blob state"),
        ("load_blob a://x -o __name__", "'__name__'", "-o model"),
        ("gpu metrics", "gpu metrics needs a terminal", "Run `jupyter gpu metrics` there"),
        ("gpu metrics --serve 9400", "gpu metrics needs a terminal", "%gpu shows the numbers here"),
        ("gpu top", "gpu top needs a terminal", "Run `jupyter gpu top` there"),
        ("gpu metrics --since 1", "no option --since", "gpu metrics --help"),
    ],
)
def test_a_wrong_line_says_what_to_do(line: str, message: str, hint: str) -> None:
    magic, _, rest = line.partition(" ")
    with pytest.raises(UsageError) as refused:
        parse_magic(magic, rest)
    assert message in refused.value.message
    assert hint in refused.value.hint


@pytest.mark.parametrize("url", ["{url}", "a://{url}", "a://{url}.pt", "a://{url}/", "a://x/{url}"])
def test_a_name_that_depends_on_a_variable_is_asked_for(url: str) -> None:
    with pytest.raises(UsageError, match="Add -o NAME"):
        target(parse_magic("load_blob", url))


@pytest.mark.parametrize("family", FAMILIES)
def test_help_of_a_family_names_every_verb(family: str) -> None:
    with pytest.raises(HelpRequest) as asked:
        parse_magic(family, "--help")
    assert all(f"{family} {verb}" in asked.value.text for verb in FAMILIES[family])


@pytest.mark.parametrize("line", ["cache", "cache --help", "cache -h"])
def test_help_of_a_verb_of_two_words_names_those_below(line: str) -> None:
    with pytest.raises(HelpRequest) as asked:
        parse_magic("blob", line)
    assert [f"blob cache {one}" in asked.value.text for one in ("ls", "clear", "warm")] == [True] * 3
    assert "blob info" not in asked.value.text


@pytest.mark.parametrize("verb", FAMILIES["blob"].values(), ids=lambda verb: verb.name)
def test_help_of_a_verb_names_every_option(verb) -> None:
    with pytest.raises(HelpRequest) as asked:
        parse_magic("blob", f"{verb.name.removeprefix('blob ')} x -h")
    assert all(option.flag in asked.value.text for option in verb.options)
    assert verb.summary in asked.value.text


def test_every_family_is_a_magic() -> None:
    assert set(FAMILIES) | {"load_blob", "save_blob"} == MAGICS


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("weights://run 7/resnet50.pth", "resnet50"),
        ("az://c/1-a b#.pt", "_1_a_b"),
        ("a://x/class.pt", "class_"),
        ("a://llama/", "llama"),
        ("a://.hidden", "hidden"),
        ("a://---", "value"),
        ("a://größe.pt", "größe"),
        ("a://ﬁt².pt", "fit2"),
        ("a://1.pt", "_1_"),
    ],
)
def test_the_name_of_a_url(url: str, name: str) -> None:
    assert name_from_url(url) == name
