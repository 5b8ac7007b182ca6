"""What a verb accepts, as a table; parsing words into a Spec; printing a Spec as a library call."""

from __future__ import annotations

import ast
import builtins
import difflib
import keyword
import re
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from jupyter_gpu_ext.commands.word import Expression, Part, Variable, Word, word
from jupyter_gpu_ext.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option of a verb.

    Attributes
    ----------
    kind : {'value', 'number', 'many', 'flag', 'off', 'output', 'consent', 'replace', 'instead', 'into', 'of'}
        One value; a whole number; several values, the option repeated; present, which means True, or for
        'off' False; the name that the result is bound to; present, so that nobody is asked: no argument; present, so
        that the name's old value goes first; present, so that another verb is done; another verb, with a variable;
        another verb, of what is named.
    keyword : str
        The argument of the library call.
    verb : Verb or None
        The other verb.
    """

    flag: str
    short: str = ""
    metavar: str = ""
    help: str
    kind: Literal[
        "value", "number", "many", "flag", "off", "output", "consent", "replace", "instead", "into", "of"
    ] = "value"  # fmt: skip
    keyword: str = ""
    verb: Verb | None = None

    @property
    def usage(self) -> str:
        """The option as a usage line shows it: '-o NAME, --output NAME'."""
        tail = f" {self.metavar}" if self.metavar else ""
        return f"{self.short}{tail}, {self.flag}{tail}" if self.short else f"{self.flag}{tail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One act of the user.

    Attributes
    ----------
    name : str
        As typed: 'blob ls'.
    function : str
        The public function below `jupyter_gpu_ext` that does it: 'gpu.status'.
    positionals : tuple of str
        Names of the words that must follow, shown in capitals.
    optional : str
        The name of one more word that may follow, or with `repeats` of any number.
    binds : bool
        The result is bound to a name, not shown.
    reports : bool
        The function takes `report=`, which is told how far it is.
    asks : bool
        Something is lost: a person is asked first, unless the line says so already.
    takes_value : bool
        The first word is a value of the notebook: its name or another expression, not text.
    needs_terminal : bool
        Only a terminal has it; `function` is then the place of what does it, public or not.
    gives_data : bool
        Of a verb that needs a terminal: its result is data, not only text.
    always : mapping of str to str
        Arguments that the call has where the line does not say otherwise.
    """

    name: str
    function: str
    summary: str
    positionals: tuple[str, ...] = ()
    optional: str = ""
    repeats: bool = False
    options: tuple[Option, ...] = ()
    binds: bool = False
    reports: bool = False
    asks: bool = False
    takes_value: bool = False
    needs_terminal: bool = False
    gives_data: bool = False
    always: Mapping[str, str] = field(default_factory=dict)

    def usage(self, prefix: str = "") -> str:
        """Return the help text; `prefix` is '%' for a magic, 'jupyter ' for the shell."""
        words = [name.upper() for name in self.positionals] + ([f"[{self.optional.upper()}]"] if self.optional else [])
        words += ["…"] if self.repeats else []
        lines = [
            " ".join([f"{prefix}{self.name}", *words, *(["[OPTIONS]"] if self.options else [])]),
            "",
            self.summary,
        ]
        if self.options:
            width = max(len(option.usage) for option in self.options)
            lines += ["", *(f"  {option.usage:<{width}}  {option.help}" for option in self.options)]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Spec:
    """A parsed line.

    Attributes
    ----------
    arguments, keywords : tuple of Word, mapping
        The words given.
    output : str or None
        The name that the result is bound to.
    agreed : bool
        Nobody needs to be asked.
    replaces : bool
        The name's old value goes before the new one comes.
    """

    verb: Verb
    arguments: tuple[Word, ...] = ()
    keywords: Mapping[str, Word | tuple[Word, ...] | bool] = field(default_factory=dict)
    output: str | None = None
    agreed: bool = False
    replaces: bool = False

    @property
    def url_at(self) -> int:
        """Which of the arguments is the URL."""
        return self.verb.positionals.index("url") if "url" in self.verb.positionals else 0

    def bind(self, names: Collection[str]) -> Spec:
        """Return the Spec with each `$name` decided by the names that are bound."""
        return Spec(
            self.verb,
            tuple(argument.bind(names) for argument in self.arguments),
            {key: _map(value, lambda one: one.bind(names)) for key, value in self.keywords.items()},
            self.output,
            self.agreed,
            self.replaces,
        )

    def resolve(self, evaluate: Callable[[str], Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return the positional and keyword values of the library call."""
        values = {key: _map(value, lambda one: one.resolve(evaluate)) for key, value in self.keywords.items()}
        return [argument.resolve(evaluate) for argument in self.arguments], values

    def expression(self) -> str:
        """Return the library call as Python source, without its target: `jg.load("weights://x.pt")`."""
        arguments = [argument.to_python() for argument in self.arguments]
        arguments += [f"{key}={_source(value)}" for key, value in self.keywords.items()]
        return f"jg.{self.verb.function}({', '.join(arguments)})"


def to_python(spec: Spec) -> str:
    """Return the statement that does in a script what the line does in a notebook.

    The script has `import jupyter_gpu_ext as jg`; every `$name` of `spec` must be bound before.

    Raises
    ------
    UsageError
        When the line binds a name that only its run can tell.
    """
    if not spec.verb.binds:
        return f"print({spec.expression()})"
    return assignment(spec, target(spec), spec.expression())


def assignment(spec: Spec, name: str, source: str) -> str:
    """Return the statement that binds what `source` gives."""
    first = f"{name} = None; " if spec.replaces else ""
    return f"{first}{name} = {source}"


def target(spec: Spec) -> str:
    """Return the name that the result is bound to: `-o NAME`, or the stem of the URL."""
    if spec.output is not None:
        return spec.output
    last = spec.arguments[0].parts[-1:]
    end = str(last[0]).rstrip("/") if last and isinstance(last[0], str) else ""
    if spec.arguments[0].literal is None and "/" not in end:
        raise UsageError("The name to bind depends on a variable.", hint="Add -o NAME.")
    return name_from_url(end)


def name_from_url(url: str) -> str:
    """Return a Python name made of the last part of `url` without its suffix.

    Examples
    --------
    >>> name_from_url("weights://run 7/resnet50.pth"), name_from_url("az://c/1-a b#.pt")
    ('resnet50', '_1_a_b')
    """
    last = url.rstrip("/").rpartition("/")[2]
    stem = last.rpartition(".")[0] or last
    # Python itself normalises a name so, before it looks it up.
    normal = unicodedata.normalize("NFKC", stem)
    pieces = "".join(char if f"a{char}".isidentifier() else " " for char in normal).split()
    name = "_".join(pieces).strip("_") or "value"
    if name.isdecimal():
        # `_1` is where IPython keeps the first output.
        return f"_{name}_"
    return f"{name}_" if _is_taken(name) else name if name.isidentifier() else f"_{name}"


def parse(verb: Verb, words: Sequence[Word]) -> Spec:
    """Parse the words after the verb's name.

    Raises
    ------
    UsageError
        One sentence and a hint for whatever does not fit the verb's table.
    """
    taken = _Parser(verb)
    taken.read(list(words))
    return taken.spec()


def plain(arguments: Iterable[str]) -> list[Word]:
    """Return the words of a shell's argument list, in which nothing is expanded."""
    return [word(argument) for argument in arguments]


class _Parser:
    def __init__(self, verb: Verb) -> None:
        self.verb = verb
        self.flags = {name: option for option in verb.options for name in (option.flag, option.short) if name}
        self.arguments: list[Word] = []
        self.keywords: dict[str, Word | tuple[Word, ...] | bool] = {}
        self.output: str | None = None
        self.agreed = False
        self.replaces = False
        self.instead: Option | None = None
        self.into: tuple[Option, Word] | None = None
        self.of: tuple[Option, Word] | None = None

    def read(self, words: list[Word]) -> None:
        while words:
            first = words.pop(0)
            if first.literal == "--":
                self.arguments += words
                return
            start = first.parts[0] if first.parts else ""
            if isinstance(start, str) and start.startswith("-") and start != "-":
                self._option(start, first.parts[1:], words)
            else:
                self.arguments.append(first)

    def _option(self, start: str, rest: tuple[Part, ...], words: list[Word]) -> None:
        # `--keys=GLOB` and `-kGLOB` carry the value in the same word, expressions included.
        flag, equals, value = start.partition("=") if start.startswith("--") else (start[:2], start[2:], start[2:])
        option = self.flags.get(flag)
        if option is None:
            close = difflib.get_close_matches(flag, self.flags, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"See {self.verb.name} --help."
            raise UsageError(f"{self.verb.name} has no option {flag}.", hint=hint)
        if option.kind in ("flag", "off", "consent", "replace", "instead"):
            if equals or rest:
                raise UsageError(f"{flag} takes no value.", hint=f"See {self.verb.name} --help.")
            self._present(option)
        elif equals or rest:
            self._value(option, word(value, *rest))
        elif words:
            self._value(option, words.pop(0))
        else:
            raise UsageError(f"{flag} needs a value.", hint=f"{option.flag} {option.metavar}: {option.help}")

    def _present(self, option: Option) -> None:
        if option.kind == "consent":
            self.agreed = True
        elif option.kind == "replace":
            self.replaces = True
        elif option.kind == "instead":
            self.instead = option
        else:
            self.keywords[option.keyword] = option.kind == "flag"

    def _value(self, option: Option, value: Word) -> None:
        if option.kind == "output":
            self.output = _identifier(value, option)
        elif option.kind == "into":
            self.into = (option, _variable(value, option))
        elif option.kind == "of":
            self.of = (option, value)
        elif option.kind == "many":
            before = self.keywords.get(option.keyword, ())
            self.keywords[option.keyword] = (*(before if isinstance(before, tuple) else ()), value)
        else:
            if option.keyword in self.keywords:
                raise UsageError(f"{option.flag} is given twice.", hint="Leave one.")
            self.keywords[option.keyword] = _number(value, option) if option.kind == "number" else value

    def spec(self) -> Spec:
        needed = len(self.verb.positionals)
        if len(self.arguments) < needed:
            missing = self.verb.positionals[len(self.arguments)].upper()
            raise UsageError(f"{self.verb.name} needs {missing}.", hint=f"See {self.verb.name} --help.")
        if len(self.arguments) > needed + bool(self.verb.optional) and not self.verb.repeats:
            extra = self.arguments[needed + bool(self.verb.optional)].shown()
            raise UsageError(
                f"{self.verb.name} does not know what to do with {extra}.",
                hint='A name with spaces goes in quotes: "my file.pt".',
            )
        if self.verb.takes_value:
            self.arguments[0] = _expression(self.arguments[0], self.verb)
        if self.instead is not None and self.instead.verb is not None:
            return self._instead(self.instead.verb)
        if self.of is not None and self.of[0].verb is not None:
            return Spec(self.of[0].verb, (self.of[1], *self.arguments))
        if self.into is not None and self.into[0].verb is not None:
            return self._into(self.into[0].verb, *self.into)
        return Spec(self.verb, tuple(self.arguments), self.keywords, self.output, self.agreed, self.replaces)

    def _instead(self, verb: Verb) -> Spec:
        # What only the real act takes says nothing about the other one.
        known = {option.keyword for option in verb.options}
        keywords = {key: value for key, value in self.keywords.items() if key in known}
        always = {key: word(value) for key, value in verb.always.items()}
        return Spec(verb, tuple(self.arguments), {**always, **keywords})

    def _into(self, verb: Verb, option: Option, variable: Word) -> Spec:
        known = {one.keyword for one in verb.options}
        unknown = [one.flag for one in self.verb.options if one.keyword in self.keywords and one.keyword not in known]
        unknown += [one.flag for one in self.verb.options if one.kind == "output" and self.output is not None]
        unknown += [one.flag for one in self.verb.options if one.kind == "replace" and self.replaces]
        if unknown:
            raise UsageError(
                f"{unknown[0]} does not go with {option.flag}.", hint="The model keeps its name and memory."
            )
        return Spec(verb, (variable, *self.arguments), self.keywords)


def _expression(value: Word, verb: Verb) -> Word:
    if len(value.parts) == 1 and isinstance(part := value.parts[0], Variable):
        return word(Expression(part.name))
    if (text := value.literal) is None:
        if len(value.parts) == 1:
            return value
    elif _is_expression(text):
        return word(Expression(text.strip()))
    raise UsageError(
        f"{verb.name} needs the name of a variable first, not {value.shown()!r}.",
        hint="For example %save_blob state weights://run7/x.pt; other expressions in braces: {d['state']}.",
    )


def _is_expression(text: str) -> bool:
    # Quotes are gone by now: `d['x']` would be `d[x]`, so what may hold them needs braces.
    try:
        node: ast.AST = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    while isinstance(node, ast.Attribute) or (isinstance(node, ast.Call) and not node.args and not node.keywords):
        node = node.value if isinstance(node, ast.Attribute) else node.func
    return isinstance(node, ast.Name)


def _identifier(value: Word, option: Option) -> str:
    text = unicodedata.normalize("NFKC", value.literal or "")
    if not text.isidentifier() or _is_taken(text) or text.startswith("__"):
        raise UsageError(f"{option.flag} needs a free variable name, not {text!r}.", hint="For example -o model.")
    return text


def _variable(value: Word, option: Option) -> Word:
    if len(value.parts) == 1 and isinstance(value.parts[0], Expression):
        return value
    text = value.literal or ""
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*|\[\d+\])*", text) or keyword.iskeyword(text):
        raise UsageError(f"{option.flag} needs a variable, not {text!r}.", hint=f"For example {option.flag} model.")
    return word(Expression(text))


def _is_taken(name: str) -> bool:
    # A tensor called `print`, or IPython's own `In`, would break the cells that follow.
    return keyword.iskeyword(name) or hasattr(builtins, name) or name in ("In", "Out", "get_ipython", "_")


def _number(value: Word, option: Option) -> Word:
    text = value.literal
    if text is None:
        return value
    if not re.fullmatch(r"-?\d{1,18}", text):
        raise UsageError(f"{option.flag} needs a whole number, not {text!r}.", hint=option.help)
    return word(Expression(str(int(text))))


def _map(value: Word | tuple[Word, ...] | bool, change: Callable[[Word], Any]) -> Any:
    if isinstance(value, tuple):
        return tuple(change(one) for one in value)
    return change(value) if isinstance(value, Word) else value


def _source(value: Word | tuple[Word, ...] | bool) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(one.to_python() for one in value)}]"
    return value.to_python() if isinstance(value, Word) else repr(value)
