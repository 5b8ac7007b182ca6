"""The cards that can be simulated, by the makers' data sheets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A kind of card; the clocks are those it reaches at work."""

    name: str
    memory_bytes: int
    idle_watts: float
    limit_watts: float
    graphics_hertz: int
    memory_hertz: int
    pcie_generation: int

    def watts(self, load_ratio: float) -> float:
        """Return what it draws at a share of the most that it can do."""
        return self.idle_watts + (self.limit_watts - self.idle_watts) * load_ratio


A100 = Model(
    name="A100 40 GB", memory_bytes=40 * 10**9, idle_watts=50.0, limit_watts=400.0,
    graphics_hertz=1_410_000_000, memory_hertz=1_215_000_000, pcie_generation=4,
)  # fmt: skip
H100 = Model(
    name="H100 80 GB", memory_bytes=80 * 10**9, idle_watts=70.0, limit_watts=700.0,
    graphics_hertz=1_980_000_000, memory_hertz=2_619_000_000, pcie_generation=5,
)  # fmt: skip
L4 = Model(
    name="L4 24 GB", memory_bytes=24 * 10**9, idle_watts=16.0, limit_watts=72.0,
    graphics_hertz=2_040_000_000, memory_hertz=6_251_000_000, pcie_generation=4,
)  # fmt: skip
T4 = Model(
    name="T4 16 GB", memory_bytes=16 * 10**9, idle_watts=10.0, limit_watts=70.0,
    graphics_hertz=1_590_000_000, memory_hertz=5_001_000_000, pcie_generation=3,
)  # fmt: skip

MODELS = {"A100": A100, "H100": H100, "L4": L4, "T4": T4}
