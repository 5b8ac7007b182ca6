"""The documentation holds: its links lead somewhere, its commands are ones that the product takes."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from jupyter_gpu_ext.commands import lines
from jupyter_gpu_ext.errors import UsageError
from jupyter_gpu_ext.storage import connections

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]
_LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")
_BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
_MAGIC = re.compile(r"^(?:\w+ = )?%(\w+) ?(.*)$", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(page.read_text()):
        assert (page.parent / link).exists(), link


def magics() -> list[tuple[str, str]]:
    """Return every line of our magics in the documentation and the demo's notebooks."""
    blocks = [block for page in PAGES for language, block in _BLOCK.findall(page.read_text()) if language == "python"]
    for notebook in sorted((ROOT / "binder").glob("*.ipynb")):
        cells = json.loads(notebook.read_text())["cells"]
        blocks += ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return [(name, line) for block in blocks for name, line in _MAGIC.findall(block) if name in lines.MAGICS]


@pytest.mark.parametrize(("name", "line"), magics())
def test_commands_are_ones_that_the_product_takes(name: str, line: str) -> None:
    if "# refused" in line:
        with pytest.raises(UsageError):
            lines.parse_magic(name, line)
    else:
        lines.parse_magic(name, line)


def test_the_training_in_the_guide_is_the_notebook() -> None:
    cells = json.loads((ROOT / "binder" / "forecast.ipynb").read_text())["cells"]
    lines = {line.strip() for cell in cells for line in "".join(cell["source"]).splitlines()}
    blocks = _BLOCK.findall((ROOT / "docs" / "guide" / "training.md").read_text())
    shown = [line.strip() for language, block in blocks if language == "python" for line in block.splitlines()]
    assert len(shown) > 20
    assert [line for line in shown if line.partition("  #")[0] not in {one.partition("  #")[0] for one in lines}] == []


def test_connections_in_the_documentation_are_valid() -> None:
    blocks = [block for page in PAGES for language, block in _BLOCK.findall(page.read_text()) if language == "toml"]
    found = [tomllib.loads(block).get("connections", {}) for block in [*blocks, connections.EXAMPLE]]
    entries = [item for one in found for item in one.items()]
    assert len(entries) > 2
    for name, entry in entries:
        connections.check(name, entry, Path("documentation"))
