"""Whatever a line says, its source makes the same library call, with the same values."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_gpu_ext.commands.grammar import name_from_url
from jupyter_gpu_ext.commands.lines import FAMILIES, MAGICS, HelpRequest, parse_magic
from jupyter_gpu_ext.errors import UsageError

NAMES: dict[str, Any] = {"x": 3, "url": "a://b.pt", "größe": "weiß", "d": {"a b": [1, 2], "}": "#"}}
EXPRESSIONS = ["x", "x + 1", "url", "größe", "d['a b']", 'd["}"]', "d['a b'][0:1]", "x == 3", "f'{x}!'", "(1, 2)"]


class Recorder:
    """Stands for the library: remembers the one call that is made."""

    def __init__(self, path: str = "") -> None:
        self.path = path

    def __getattr__(self, name: str) -> Recorder:
        return Recorder(f"{self.path}.{name}".lstrip("."))

    def __call__(self, *values: Any, **options: Any) -> tuple[str, list[Any], dict[str, Any]]:
        return self.path, list(values), {key: _listed(value) for key, value in options.items()}


def _listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _quoted(text: str) -> str:
    text = re.sub(r'(["\\])', r"\\\1", text).replace("{", "{{").replace("}", "}}")
    return re.sub(r"\$(?=[A-Za-z_])", "$$", text)


# A line of a notebook has no line break in it.
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12).filter(lambda text: "\n" not in text)
LITERALS = TEXTS.map(lambda text: (_quoted(text), text))
FIELDS = st.sampled_from(EXPRESSIONS).map(lambda source: (f"{{{source}}}", eval(source, dict(NAMES))))
BOUND = st.sampled_from(["x", "url"]).map(lambda name: (f"${name}", NAMES[name]))
# What a verb that takes a value reads as an expression, although no braces are around it.
VALUES = st.sampled_from(["x", "url", "größe"]).map(lambda source: (source, NAMES[source]))
PARTS = st.lists(st.one_of(LITERALS, FIELDS, BOUND), min_size=1, max_size=3)


@st.composite
def words(draw: st.DrawFn) -> tuple[str, Any]:
    """Return a word as typed, and its value."""
    parts = draw(PARTS)
    # A letter after `$x` or a `{` beside one would make another word of it: what was typed counts.
    typed = [piece for piece, _ in parts]
    if len(parts) == 1:
        return f'"{typed[0]}"', parts[0][1]
    return f'"{"/".join(typed)}"', "/".join(str(value) for _, value in parts)


def _is_help(value: Any) -> bool:
    return value in ("-h", "--help")


@st.composite
def lines(draw: st.DrawFn) -> tuple[str, str, tuple[str, list[Any], dict[str, Any]]]:
    """Return a family, a line, and the call that it means."""
    family = draw(st.sampled_from(sorted(FAMILIES)))
    verbs = {name: verb for name, verb in FAMILIES[family].items() if not verb.needs_terminal}
    name, verb = draw(st.sampled_from(sorted(verbs.items())))
    typed, options = [name], dict[str, Any]()
    for option in verb.options:
        if option.kind == "output" or not draw(st.booleans()):
            continue
        if option.kind in ("instead", "into", "of"):
            continue
        if option.kind in ("consent", "replace"):
            typed.append(option.flag)
            continue
        if option.kind in ("flag", "off"):
            typed.append(option.flag)
            options[option.keyword] = option.kind == "flag"
            continue
        if option.kind == "number":
            number = draw(st.integers(0, 10**6))
            typed.append(f"{option.flag} {number}")
            options[option.keyword] = number
            continue
        given_words = draw(st.lists(words(), min_size=1, max_size=3 if option.kind == "many" else 1))
        given_words = [one for one in given_words if not _is_help(one[1])] or [('"v"', "v")]
        joint = draw(st.sampled_from([f"{option.flag} ", f"{option.flag}="]))
        typed += [f"{joint}{one}" for one, _ in given_words]
        values = tuple(value for _, value in given_words)
        options[option.keyword] = values if option.kind == "many" else _listed(values[0])
    wanted = [*verb.positionals, *([verb.optional] if verb.optional and draw(st.booleans()) else [])]
    positional = [draw(words()) for _ in wanted]
    if verb.takes_value:
        positional[0] = draw(st.one_of(VALUES, FIELDS.map(lambda one: (f'"{one[0]}"', one[1])), BOUND))
    line = " ".join([*typed, "--", *(one for one, _ in positional)])
    return (
        family,
        line + draw(st.sampled_from(["", ";", "  # note"])),
        (
            verb.function,
            [value for _, value in positional],
            options,
        ),
    )


@given(lines())
def test_source_and_spec_make_the_call_that_was_typed(case: tuple[str, str, Any]) -> None:
    family, line, (function, values, options) = case
    spec = parse_magic(family, line).bind(NAMES)
    resolved = spec.resolve(lambda source: eval(source, dict(NAMES)))
    assert (list(resolved[0]), {key: _listed(value) for key, value in resolved[1].items()}) == (values, options)
    assert eval(spec.expression(), {**NAMES, "jg": Recorder()}) == (function, values, options)


@given(TEXTS)
def test_any_line_is_read_or_refused_in_words(line: str) -> None:
    for magic in sorted(MAGICS):
        try:
            parse_magic(magic, line).bind(()).expression()
        except (UsageError, HelpRequest) as answer:
            said = str(answer)
        else:
            said = magic
        assert said


@given(TEXTS)
def test_a_url_always_gives_a_name(url: str) -> None:
    assert name_from_url(url).isidentifier()


@pytest.mark.parametrize("text", ["\u200b{größe}", "a\x85b", "\ud800"])
def test_text_that_does_not_print_survives(text: str) -> None:
    spec = parse_magic("blob", f'info "{text}"').bind(())
    assert eval(spec.expression(), {**NAMES, "jg": Recorder()})[1] == [text.replace("{größe}", "weiß")]
