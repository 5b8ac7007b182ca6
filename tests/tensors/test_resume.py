"""Loads that storage did not finish, on the cpu."""

from __future__ import annotations

from tests.contracts.resumed_loads import ResumeContract


class TestCpu(ResumeContract):
    device = "cpu"

    def held_bytes(self) -> int:
        return 0
