from __future__ import annotations

import safetensors.numpy

from tests.magics.test_magics import names, one_line


def test_a_value_is_written_and_the_line_says_so(cells, stores):
    cells.run("%load_blob disk://net.safetensors -o state\nrun = 7")
    outcome = cells.run("%save_blob state out://run$run/net.safetensors")
    assert (outcome.status, outcome.result) == ("ok", None)
    assert outcome.said.startswith("state → out://run7/net.safetensors: 2 tensors, ")
    written = safetensors.numpy.load_file(stores / "out/run7/net.safetensors")
    assert {name: one.shape for name, one in written.items()} == {"w": (4, 3), "b": (3,)}


def test_an_expression_is_written_and_the_receipt_assigned(cells, stores):
    cells.run("%load_blob disk://net.safetensors -o state")
    outcome = cells.run("saved = %blob save {dict(a=[state['w']])} out://a.pt --overwrite")
    assert (outcome.status, outcome.result) == ("ok", None)
    assert outcome.said.startswith("dict(a=[state['w']]) → out://a.pt: 1 tensor, ")
    assert cells.value("(saved.tensor_count, saved.size_bytes)") == (1, (stores / "out/a.pt").stat().st_size)


def test_mistakes_are_one_line(cells, stores):
    cells.run("%load_blob disk://net.safetensors -o state")
    before = names(cells)
    for line, said in {
        "%save_blob stat out://x.pt": "name 'stat' is not defined",
        "%save_blob state disk://x.pt": "read-only",
        "%save_blob state out://x": "which format to write",
        "%save_blob {state['w']} out://x.safetensors": "flat dict of tensors",
        "%save_blob out://x.pt state": "needs the name of a variable first",
    }.items():
        assert said in one_line(cells.run(line)), line
    assert names(cells) == before
    assert not list((stores / "out").glob("x*"))


def test_a_secret_link_to_write_to_leaves_the_cell(cells):
    link = "https://acc.blob.core.windows.net/c/x.pt?sv=2024-01-01&sr=b&sp=cw&sig=" + "A" * 43 + "%3D"
    cells.run("state = {}")
    outcome = cells.run(f"%save_blob state '{link}'")
    assert outcome.status == "error"
    assert "A" * 20 not in f"{outcome.traceback}{outcome.evalue}{outcome.stdout}{outcome.stderr}{outcome.displays}"
