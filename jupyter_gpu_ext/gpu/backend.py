"""The seam between what we show and the hardware layer that knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from jupyter_gpu_ext.errors import DeviceError

if TYPE_CHECKING:
    from jupyter_gpu_ext.gpu.models import Device, DeviceSample, State


# Reasons that are no fault: nobody asked, or there is nothing to ask.
OFF = "off: GpuExtension.pcie_throughput turns it on, at 20 ms a reading"
OF_THE_CARD = "told for the whole card only"
NO_FAULT = frozenset({OFF, OF_THE_CARD})


class BackendError(DeviceError):
    """The hardware layer cannot answer for any device.

    Parameters
    ----------
    state : State
        What that makes of the machine.
    reason : str
        One sentence.
    hint : str
        What to do next.
    """

    def __init__(self, state: State, reason: str, hint: str = "") -> None:
        super().__init__(reason, hint=hint)
        self.state = state

    def __reduce__(self) -> tuple[object, ...]:
        return (BackendError, (self.state, self.message, self.hint))


class DeviceBackend(Protocol):
    """A hardware layer, opened when made. Used by one thread at a time; any call may block."""

    @property
    def simulated(self) -> bool:
        """Whether the devices are made up."""
        ...

    def devices(self) -> tuple[Device, ...]:
        """Return the devices as of the last sample (or of opening), by index; asks the hardware nothing."""
        ...

    def sample(self) -> tuple[DeviceSample, ...]:
        """Read every device, in the order of `devices`; a metric that fails is None with its reason.

        Raises
        ------
        BackendError
            No device can be read at all.
        """
        ...

    def close(self) -> None:
        """Let go of the hardware; never raises, and may be called twice."""
        ...
