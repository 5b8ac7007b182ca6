"""`jg.view`: what a notebook shows so that JupyterLab opens the array viewer, and what is said elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.storage import connections
from jupyter_gpu_ext.storage import url as urls
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.tensors.api import Info
from jupyter_gpu_ext.tensors.header import MOST_BYTES
from jupyter_gpu_ext.tensors.selection import parse_selection
from jupyter_gpu_ext.tensors.value import array_of
from jupyter_gpu_ext.tensors.view import open_view
from jupyter_gpu_ext.tensors.view_file import FileView
from jupyter_gpu_ext.tensors.view_zarr import ZarrView
from jupyter_gpu_ext.tensors.zarr_shown import ZarrInfo

if TYPE_CHECKING:
    from jupyter_gpu_ext.tensors.view import View

MIME_TYPE = "application/vnd.jupyter-gpu-ext.view+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """What opens the array viewer: in JupyterLab a button under the cell, elsewhere a table of what is inside.

    Attributes
    ----------
    connection, key : str
        What the browser asks the server for; '' for a local path, which a browser cannot name.
    path : str
        The array: '/' and its name; '' for the first view of all of them.
    select : str
        The part to begin with; '' for all.
    table : str
        What is inside.
    """

    connection: str
    key: str
    path: str
    select: str
    table: str

    def __str__(self) -> str:
        if not self.connection:
            return (
                f"{self.table}\nThe viewer shows what lies behind a connection: `%blob connect FOLDER` makes one of a "
                "folder."
            )
        return f"{self.table}\nTo view it: in JupyterLab, Storage (left) › {self.connection} › right click › View."

    __repr__ = __str__

    def to_json(self) -> dict[str, str]:
        """Return plain data, as JupyterLab gets it."""
        return {"connection": self.connection, "key": self.key, "path": self.path, "select": self.select}

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        bundle: dict[str, Any] = {"text/plain": str(self)}
        return {MIME_TYPE: self.to_json(), **bundle} if self.connection else bundle


def view(url: str, *, path: str = "", select: str | None = None) -> Viewer:
    """Open the array viewer on a tensor file or a Zarr store; reads headers only, the viewer reads what it shows.

    Parameters
    ----------
    url : str
        'connection://key'. Of a local path only what is inside is shown.
    path : str
        Which array: the name of a tensor, or the path inside of a Zarr store.
    select : str, optional
        The part to begin with, as for `load`: '0, :, :' or 'time=2020-01'.

    Returns
    -------
    Viewer
        The last line of a cell shows it.

    Raises
    ------
    NotFoundError
        When there is no such object, or no such array in it.
    BadRequestError
        When the selection does not fit.
    UnsupportedFormatError, TensorFormatError
        When it is nothing that can be viewed.
    """
    parsed = urls.parse(url)
    place = f"/{path.removeprefix('/')}" if path else ""
    table = LOOP.run(_look(str(parsed), place, select or ""))
    known = connections.is_name(parsed.scheme)
    return Viewer(
        connection=parsed.scheme if known else "",
        key=parsed.key if known else "",
        path=place,
        select=select or "",
        table=table,
    )


async def _look(url: str, path: str, select: str) -> str:
    view = await open_view(url, most_bytes=MOST_BYTES)
    if path and not (select == "" and view.group(path)):
        array_of(view, path)
    if select:
        parse_selection(select)
        await view.axes(path or _only(view), select)
    return str(_info(view))


def _only(view: View) -> str:
    """Return the one array that a selection without a path can mean."""
    root = view.group("/")
    children = root.children if root else ()
    if len(children) != 1 or view.array(children[0]) is None:
        raise BadRequestError(f"{view.shown} has several arrays.", hint="Say which: --path NAME.")
    return children[0]


def _info(view: View) -> Info | ZarrInfo | str:
    if isinstance(view, FileView):
        return Info(view.file)
    return ZarrInfo(view.node) if isinstance(view, ZarrView) else view.shown
