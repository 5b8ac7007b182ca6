"""The composition root: everything is built here once and handed to the handlers."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_server.extension.application import ExtensionApp
from jupyter_server.utils import url_path_join
from traitlets import Bool, Float

from jupyter_gpu_ext import gpu
from jupyter_gpu_ext.gpu.sampler import Sampler
from jupyter_gpu_ext.server import connections as connection_routes
from jupyter_gpu_ext.server import doctor as doctor_routes
from jupyter_gpu_ext.server import export as export_routes
from jupyter_gpu_ext.server import files, jobs, kinds, release, uploads, viewer
from jupyter_gpu_ext.server import gpu as gpu_routes
from jupyter_gpu_ext.server import proofs as proof_routes
from jupyter_gpu_ext.server import runs as run_routes
from jupyter_gpu_ext.server import storage as storage_routes
from jupyter_gpu_ext.server import tensors as tensor_routes
from jupyter_gpu_ext.server.environments import Doctor
from jupyter_gpu_ext.server.export import Exports
from jupyter_gpu_ext.server.kernels import Kernels
from jupyter_gpu_ext.server.metrics import GpuCollector
from jupyter_gpu_ext.server.peaks import Peaks
from jupyter_gpu_ext.server.proofs import Proofs
from jupyter_gpu_ext.server.release import Releases
from jupyter_gpu_ext.server.runs import Runs
from jupyter_gpu_ext.server.turns import Turns
from jupyter_gpu_ext.server.workspace import Workspace
from jupyter_gpu_ext.storage.azure_access import forbid_questions
from jupyter_gpu_ext.storage.backends import close_all
from jupyter_gpu_ext.storage.jobs import Jobs
from jupyter_gpu_ext.storage.uploads import Uploads
from jupyter_gpu_ext.tensors.kind_cache import Kinds
from jupyter_gpu_ext.tensors.view_cache import Views

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_gpu_ext.gpu.backend import DeviceBackend
    from jupyter_gpu_ext.gpu.models import Status

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

    pcie_throughput = Bool(
        False,
        help="Read what goes over each GPU's PCIe link, too. The driver watches it for 20 ms a direction and GPU.",
        config=True,
    )

    def initialize_handlers(self) -> None:
        """Build the services and the routes over them."""
        server: Any = self.serverapp
        forbid_questions()
        self.peaks = Peaks(Path(server.data_dir), server.root_dir)
        self.kernels = Kernels(server.kernel_manager, server.session_manager, status=self._status, peaks=self.peaks)
        releases = Releases(self.kernels, server.kernel_manager, server.session_manager)
        self.sampler = Sampler(self._open_backend, self.sample_interval_seconds, storage_rate=self.kernels.storage_rate)
        self.metrics = GpuCollector(self.sampler, self.kernels)
        self.doctor = Doctor(server.kernel_manager)
        workspace = Workspace(server.contents_manager, server.root_dir)
        exports = Exports(workspace, server.kernel_manager, self.kernels, self.peaks)
        self.proofs = Proofs(workspace, exports)
        routes = [
            *gpu_routes.routes(self.sampler, self.kernels),
            *release.routes(releases),
            *doctor_routes.routes(self.doctor),
            *connection_routes.routes(),
            *storage_routes.routes(),
            *files.routes(),
            *uploads.routes(Uploads()),
            *jobs.routes(Jobs()),
            *tensor_routes.routes(),
            *kinds.routes(Kinds()),
            *viewer.routes(Views(), Turns()),
            *export_routes.routes(exports),
            *run_routes.routes(Runs(workspace, Path(server.data_dir)), exports),
            *proof_routes.routes(self.proofs),
        ]
        self.handlers.extend((url_path_join(PREFIX, path), handler, services) for path, handler, services in routes)

    def _open_backend(self) -> DeviceBackend:
        return gpu.open_backend(held_bytes=self._held_bytes, pcie_throughput=self.pcie_throughput)

    def _status(self) -> Status:
        # Whoever looks asks the sampler for itself; a scrape, which also asks the kernels, is nobody.
        return self.sampler.peek()

    def _held_bytes(self) -> Mapping[str, int]:
        return self.kernels.held_bytes

    async def _start_jupyter_server_extension(self, _serverapp: Any) -> None:
        # Jupyter Server's own 170,000 objects stay for its lifetime. Left where they are, every full collection
        # looks at them, and each large listing causes one: the event loop stands still for 150 ms.
        gc.collect()
        gc.freeze()
        self.sampler.start()
        self.metrics.start()

    async def stop_extension(self) -> None:
        """End the proofs, stop the thread, close the channels and the storage connections."""
        await self.proofs.close()
        self.metrics.stop()
        self.sampler.stop()
        self.kernels.close()
        self.doctor.close()
        close_all()
