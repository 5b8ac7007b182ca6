"""A notebook that streams files is exported: its script reads the same, and its lock knows the folder."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.export import locked
from jupyter_gpu_ext.export.used import named
from jupyter_gpu_ext.job import lock
from tests.datasets.pictures import png, put_images
from tests.export.notebooks import script

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Store

CELLS = (
    "import jupyter_gpu_ext as jg",
    "stream = jg.files('disk://train/**').shuffle(seed=3).batch(4)",
    "for batch in stream:\n    print(batch['label'].tolist(), float(batch['image'].float().mean()))",
)


def test_a_notebook_of_files(local_store: Store, tmp_path: Path) -> None:
    put_images(local_store)
    made = script(*CELLS)
    path = tmp_path / "made.py"
    path.write_text(made, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(path), "--skip-preflight"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    batches = list(jg.files("disk://train/**").shuffle(seed=3).batch(4))
    expected = [f"{one['label'].tolist()} {float(one['image'].float().mean())}" for one in batches]
    assert [line for line in done.stdout.splitlines() if line.startswith("[")] == expected
    data = locked.find(named(made), ())
    assert data.notes == ()
    (entry,) = data.entries
    assert (entry.url, entry.objects) == ("disk://train/", 15)
    local_store.put("train/ant/9.png", png(9))
    assert len(lock.differences(data.entries)) == 1
