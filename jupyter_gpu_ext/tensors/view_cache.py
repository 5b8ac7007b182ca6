"""Files and stores that a viewer looks at, kept open: twenty slices read one header. Used on the I/O loop alone."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import ObjectChangedError
from jupyter_gpu_ext.storage import url as urls
from jupyter_gpu_ext.storage.backends import resolve
from jupyter_gpu_ext.tensors.view import open_view

if TYPE_CHECKING:
    from jupyter_gpu_ext.storage.steady import Steady
    from jupyter_gpu_ext.tensors.view import View

    # The backend, not the connection's name: with another account or secret it is another one.
    Place = tuple[Steady, str, str]

_MOST_VIEWS = 16
_MOST_NODES = 200_000


class Views:
    """The last views that were asked for.

    Parameters
    ----------
    most_views, most_nodes : int
        How many, and how many groups and arrays they may have together; the newest always stays.
    """

    def __init__(self, *, most_views: int = _MOST_VIEWS, most_nodes: int = _MOST_NODES) -> None:
        self._most_views = most_views
        self._most_nodes = most_nodes
        self._open: OrderedDict[Place, View] = OrderedDict()
        self._opening: dict[Place, asyncio.Task[View]] = {}

    async def get(self, url: str, version: str = "") -> View:
        """Return the view of a URL, from memory where that is sure to be right.

        Parameters
        ----------
        version : str
            What an earlier view had: then storage is not asked. Without one, storage says whether it is still the same.

        Raises
        ------
        ObjectChangedError
            When it is another version now.
        GpuExtError
            As `open_view`.
        """
        parsed = urls.parse(url)
        place = (*resolve(parsed), str(parsed))
        view = self._open.get(place)
        if view is None or not (view.version == version or (not version and await view.is_current())):
            view = await self._opened(place)
        if version and view.version != version:
            raise ObjectChangedError(
                f"{view.shown} was replaced since it was opened: it was {version[:12]}, is {view.version[:12]}.",
                hint="Open it again.",
            )
        self._keep(place, view)
        return view

    def forget(self, view: View) -> None:
        """Let a view go that storage says is no longer right."""
        for place in [place for place, one in self._open.items() if one is view]:
            del self._open[place]

    async def _opened(self, place: Place) -> View:
        # A viewer asks for several things at once; who gives up does not end it for the others.
        if place not in self._opening:
            task = asyncio.ensure_future(open_view(place[2]))
            task.add_done_callback(lambda _: self._opening.pop(place, None))
            self._opening[place] = task
        return await asyncio.shield(self._opening[place])

    def _keep(self, place: Place, view: View) -> None:
        self._open[place] = view
        self._open.move_to_end(place)
        while len(self._open) > 1 and (
            len(self._open) > self._most_views or sum(one.node_count for one in self._open.values()) > self._most_nodes
        ):
            self._open.popitem(last=False)
