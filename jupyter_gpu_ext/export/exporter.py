"""The entry point of `jupyter nbconvert --to trainscript` and of JupyterLab's export menu.

One exporter that fails to import takes every format out of that menu, so this module imports nothing
but nbconvert and its traitlets.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from nbconvert.exporters.exporter import Exporter
from nbconvert.utils.exceptions import ConversionException
from traitlets import Bool, Enum

from jupyter_gpu_ext.errors import ExportRefusedError, GpuExtError

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from jupyter_gpu_ext.export.translate import Unknown


class RefusedConversionError(ConversionException, ExportRefusedError):
    """A refusal, of the kind that nbconvert reports and then exits with 1."""


class TrainScriptExporter(Exporter):
    """Exports a notebook as a Python script that needs neither Jupyter nor IPython.

    The cells are taken as they are in the file: nbconvert's preprocessors do not run, so a cell's
    number in a message is the one that a person counts.
    """

    export_from_notebook = "Trainscript"
    output_mimetype = "text/x-python"

    unknown = Enum(("error", "comment"), "error", help="What becomes of a magic without translation.").tag(config=True)
    strict_shell = Bool(default_value=False, help="A `!command` that fails ends the script.").tag(config=True)

    def _file_extension_default(self) -> str:
        return ".py"

    # nbconvert's signature says notebook, its text exporters return text all the same.
    def from_notebook_node(  # type: ignore[override]
        self, nb: NotebookNode, resources: Any = None, **_kw: Any
    ) -> tuple[str, Any]:
        """Return the script and the resources.

        Raises
        ------
        RefusedConversionError
            One line that names the cell and what to do.
        """
        from jupyter_gpu_ext._version import __version__
        from jupyter_gpu_ext.export.script import make_script

        resources = self._init_resources(resources)  # type: ignore[no-untyped-call]
        name = f"{resources['metadata']['name'] or 'notebook'}.ipynb"
        try:
            unknown: Unknown = "comment" if self.unknown == "comment" else "error"
            script = make_script(nb, name=name, version=__version__, unknown=unknown, strict_shell=self.strict_shell)
        except GpuExtError as error:
            _tell_in_one_line(self.log)
            raise RefusedConversionError(error.message, hint=error.hint) from None
        for remark in script.remarks:
            self.log.warning("%s", remark)
        return script.text, resources


class _OneLine(logging.Filter):
    """Turns the traceback that nbconvert and Jupyter Server log for a refusal into its sentence."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, RefusedConversionError):
            record.msg, record.args, record.exc_info = f"Not exported: {error}", (), None
        return True


_ONE_LINE = _OneLine()


def _tell_in_one_line(log: Any) -> None:
    # Adding the same filter again has no effect.
    getattr(log, "logger", log).addFilter(_ONE_LINE)
