"""Which storage a script reads and writes."""

from __future__ import annotations

import pytest

from jupyter_gpu_ext.export.connections import to_toml, used
from jupyter_gpu_ext.export.locked import wanted_of
from jupyter_gpu_ext.export.used import named
from jupyter_gpu_ext.storage.connections import Connection, Registry
from tests.export.notebooks import code, script

OWN = {
    "weights": Connection(name="weights", root="az://models/prod", account="acct", credential="azure-cli"),
    "runs": Connection(name="runs", root="s3://runs", credential="keys", secret="file:/home/ada/key", read_only=False),
    "disk": Connection(name="disk", root="/mnt/disk"),
    "pro": Connection(name="pro", root="s3://x", credential="profile", profile="ada", ca_file="/etc/ca.pem"),
    "tmp": Connection(name="tmp", root="memory://t"),
}


def found(*cells: object) -> set[tuple[str, bool, bool]]:
    """Return the URLs of a notebook's script: whether they are whole, and whether they are written."""
    return {(one.url, one.whole, one.writes) for one in named(script(*cells))}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cells", "urls"),
    [
        (("%load_blob weights://m.pt -o m",), {("weights://m.pt", True, False)}),
        (("m = 1", "%save_blob m runs://m.pt"), {("runs://m.pt", True, True)}),
        (("out = 'runs://7'", "m = 1", "%save_blob m {out}/m.pt"), {("runs://7", True, True)}),
        ((code("out = 'runs://7'", "parameters"), "m = 1", "%save_blob m $out"), {("runs://7", True, True)}),
        (("n = 1", "%load_blob weights://step{n}.pt -o m"), {("weights://step", False, False)}),
        (("import jupyter_gpu_ext as jg", "ck = jg.Checkpointer('runs://ck', keep=2)"), {("runs://ck", True, True)}),
        (("from jupyter_gpu_ext import LogSink as L", "L('runs://l.txt')"), {("runs://l.txt", True, True)}),
        (("import jupyter_gpu_ext as jg", "jg.open('runs://a', 'wb')"), {("runs://a", True, True)}),
        (("import jupyter_gpu_ext as jg", "jg.open('weights://a')"), {("weights://a", True, False)}),
        (("import jupyter_gpu_ext as jg", "jg.cp('weights://a', 'runs://a')"),
         {("weights://a", True, False), ("runs://a", True, True)}),
        (("import pandas as pd", "pd.read_parquet('weights://x.parquet')"), {("weights://x.parquet", True, False)}),
        (("import pandas as pd\ndf = pd.DataFrame()", "df.to_parquet('runs://x.parquet')"),
         {("runs://x.parquet", True, True)}),
        (("import jupyter_gpu_ext as jg", "s = jg.files('imgs://train/**').shuffle(seed=1).batch(8)"),
         {("imgs://train/", True, False)}),
        (("from jupyter_gpu_ext import files", "url = 'imgs://a/b*/x-?.tar'", "s = files(url, on_error='skip')"),
         {("imgs://a/", True, False)}),
        (("import jupyter_gpu_ext as jg", "jg.files('imgs://train')\njg.load('imgs://odd*name.pt')"),
         {("imgs://train", True, False), ("imgs://odd*name.pt", True, False)}),
        (("import jupyter_gpu_ext as jg", "split = 'train'", "s = jg.files(f'imgs://{split}/**')"),
         {("imgs://", False, False)}),
        (("import jupyter_gpu_ext as jg", "s = jg.ZarrStream('era5://train.zarr', ['x'])"),
         {("era5://train.zarr", True, False)}),
        (("s = 'see https://example.com/x'", "# weights://comment"), set()),
        (("s = 'weights://a\\nb'",), set()),
    ],
)  # fmt: skip
def test_what_is_read_and_what_is_written(cells: tuple[object, ...], urls: set[tuple[str, bool, bool]]) -> None:
    assert found(*cells) == urls


def registry() -> Registry:
    return Registry(OWN, {}, ())


def test_a_job_s_connections_hold_no_secret_and_no_person() -> None:
    source = (
        "\n".join(f"x = '{name}://k'" for name in [*OWN, "nobody"])
        + "\nimport jupyter_gpu_ext as jg\njg.save(x, 'pro://')"
    )
    text = to_toml(used(named(source), registry()))
    assert "/home/ada" not in text
    assert "azure-cli" not in text.replace("# read; azure-cli", "")
    assert 'secret = "env:RUNS_SECRET"' in text
    assert 'profile = "ada"' not in text
    assert "# [connections.nobody]" in text
    notes = {one.name: one.note for one in used(named(source), registry())}
    assert "mount it in the job" in notes["disk"]
    assert "read-only, and the script writes to it" in notes["pro"]
    assert "certificates" in notes["pro"]
    assert "begins with nothing" in notes["tmp"]
    assert "no connection of that name" in notes["nobody"]


def test_the_lock_is_of_what_is_read_alone() -> None:
    urls = named(
        "import jupyter_gpu_ext as jg\na = 'weights://m.pt'\nb = f'weights://{a}'\nc = 'weights://llama/'\n"
        "jg.save(a, 'runs://7/x.pt')\nd = 'https://example.com/y'"
    )
    seen = ["weights://m.pt", "weights://llama/1.safetensors", "weights://step3.pt", "runs://7/x.pt", "other://z"]
    # What the kernel read below a folder is that folder's, what it read of another notebook's storage is not asked.
    assert list(wanted_of(urls, seen)) == ["weights://m.pt", "weights://llama/", "weights://step3.pt"]
