"""YAML as people write it: keys in their order, texts of several lines as blocks."""

from __future__ import annotations

from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def dump(*documents: Any, head: str = "") -> str:
    """Return documents as text.

    Parameters
    ----------
    head : str
        Lines that stand above as a comment.
    """
    comment = "".join(f"# {line}".rstrip() + "\n" for line in head.splitlines())
    text = yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
    return comment + text
