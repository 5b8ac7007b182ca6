"""A load is cancelled from its progress bar."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import nbformat

from tests.conftest import AZURITE_ACCOUNT, AZURITE_KEY, HERE, KEY_VARIABLE, write_connections
from tests.ui.lab import drive, running_lab

if TYPE_CHECKING:
    from pathlib import Path


def test_cancel_interrupts_a_stalled_load(tmp_path: Path) -> None:
    # Connections are taken up by the system, and nobody ever answers on them.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}/{AZURITE_ACCOUNT}"
        fields = {"root": "az://models", "account": AZURITE_ACCOUNT, "endpoint": endpoint}
        more = {"credential": "account-key", "secret": f"env:{KEY_VARIABLE}"}
        write_connections(tmp_path / "connections.toml", silent={**fields, **more})
        sources = ["%load_ext jupyter_gpu_ext", "%load_blob silent://model.pt", "print('bound', 'model' in globals())"]
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
        notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
        with running_lab(tmp_path / "lab", {KEY_VARIABLE: AZURITE_KEY, "JUPYTER_GPU_SIMULATED": "1xL4"}) as lab:
            nbformat.write(notebook, lab.work / "stalled.ipynb")
            found = drive("cancel.mjs", lab, HERE / ".artifacts" / "cancel")
    assert "reading the header" in str(found["running"])
    assert str(found["after"]).strip() == "bound False"
    assert found["problems"] == []
