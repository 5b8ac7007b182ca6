"""The folder that this server shows: what a request names in it never leads out of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_server.utils import ensure_async
from tornado.web import HTTPError

from jupyter_gpu_ext.errors import BadRequestError, NotFoundError
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from jupyter_server.services.contents.manager import ContentsManager

_LONGEST = 1000


class Workspace:
    """Notebooks through Jupyter's own contents, and folders of jobs beside them.

    Parameters
    ----------
    contents : ContentsManager
        The server's own.
    root : str
        The folder that it shows.
    """

    def __init__(self, contents: ContentsManager, root: str) -> None:
        self._contents = contents
        self.root = Path(root)

    async def notebook(self, path: str) -> Any:
        """Return a notebook's content.

        Raises
        ------
        NotFoundError
            When there is none of that path.
        """
        return (await self._model(path, "notebook"))["content"]

    async def module(self, folder: str, name: str) -> str | None:
        """Return the source of a module in a folder; None where there is none."""
        try:
            model = await self._model(f"{folder}/{name}.py" if folder else f"{name}.py", "file", format="text")
        except NotFoundError:
            return None
        return str(model["content"])

    def folder(self, text: str) -> Path:
        """Return the place of a folder, which need not exist.

        Parameters
        ----------
        text : str
            Its path below the root, with slashes.

        Raises
        ------
        BadRequestError
            When it is absolute, hidden or no path, when `..` or a link is on the way, or where files are not kept in a
            folder.
        """
        parts = text.strip("/").split("/")
        if text.startswith(("/", "~")) or "\\" in text or len(text) > _LONGEST or text != printable(text):
            raise _refused(text, "is no folder of this workspace")
        if any(part in ("", ".", "..") or part.startswith(".") for part in parts):
            raise _refused(text, "is no folder of this workspace")
        if not self.root.is_dir():
            raise BadRequestError(
                "This server does not keep its notebooks in a folder.", hint="In a terminal: jupyter gpu export"
            )
        place = self.root
        for part in parts:
            place /= part
            if place.is_symlink():
                raise _refused(text, "goes through a link")
        return place

    def shown(self, folder: Path) -> str:
        """Return a folder's path below the root."""
        return folder.relative_to(self.root).as_posix()

    def has(self, folder: Path) -> bool:
        """Whether a folder lies below the root, without links on the way."""
        try:
            return self.folder(self.shown(folder)) == folder and folder.is_dir()
        except ValueError:
            return False

    async def _model(self, path: str, kind: str, **more: Any) -> Any:
        try:
            contents: Any = self._contents
            return await ensure_async(contents.get(path, content=True, type=kind, **more))
        except (HTTPError, OSError, ValueError):
            # Its own words may name a path of the machine.
            shown = printable(path[:200])
            raise NotFoundError(f"There is no {kind} {shown!r} here.", hint="Save it, and check its name.") from None


def _refused(text: str, why: str) -> BadRequestError:
    return BadRequestError(f"{printable(text[:200])!r} {why}.", hint="For example jobs/train.")


def parent_of(path: str) -> str:
    """Return the folder of a path, '' for the root."""
    return path.strip("/").rpartition("/")[0]
