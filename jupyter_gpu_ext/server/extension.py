"""The composition root: everything is built here once and handed to the handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_server.extension.application import ExtensionApp
from jupyter_server.utils import url_path_join
from traitlets import Float

from jupyter_gpu_ext import gpu
from jupyter_gpu_ext.gpu.sampler import Sampler
from jupyter_gpu_ext.server import gpu as gpu_routes
from jupyter_gpu_ext.server import storage as storage_routes
from jupyter_gpu_ext.server import tensors as tensor_routes
from jupyter_gpu_ext.server.kernels import Kernels
from jupyter_gpu_ext.storage.backends import close_all

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_gpu_ext.server.base import Handler

PREFIX = "/jupyter-gpu-ext/api"


class GpuExtension(ExtensionApp):
    """The server extension `jupyter_gpu_ext`."""

    name = "jupyter_gpu_ext"
    app_name = "jupyter_gpu_ext"
    description = "See the GPU, browse cloud storage, load tensors, export notebooks."
    load_other_extensions = True
    file_url_prefix = "/jupyter-gpu-ext"

    sample_interval_seconds = Float(
        1.0,
        min=0.5,
        max=60.0,
        help="Seconds between two readings of the GPUs. One thread reads, however many panels are open.",
        config=True,
    )

    def initialize_handlers(self) -> None:
        """Build the services and the routes over them."""
        server: Any = self.serverapp
        self.kernels = Kernels(server.kernel_manager, server.session_manager)
        self.sampler = Sampler(
            lambda: gpu.open_backend(held_bytes=self._held_bytes), interval_seconds=self.sample_interval_seconds
        )
        self.handlers.extend(
            (url_path_join(PREFIX, path), handler, services)
            for path, handler, services in api_routes(self.sampler, self.kernels)
        )

    def _held_bytes(self) -> Mapping[str, int]:
        return self.kernels.held_bytes

    async def _start_jupyter_server_extension(self, _serverapp: Any) -> None:
        self.sampler.start()

    async def stop_extension(self) -> None:
        """Stop the thread, close the channels and the storage connections."""
        self.sampler.stop()
        self.kernels.close()
        close_all()


def api_routes(sampler: Sampler, kernels: Kernels) -> list[tuple[str, type[Handler], dict[str, Any]]]:
    """Return every route below the API's prefix."""
    return [*gpu_routes.routes(sampler, kernels), *storage_routes.routes(), *tensor_routes.routes()]
