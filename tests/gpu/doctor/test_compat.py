from __future__ import annotations

from datetime import date
from importlib.resources import files

import pytest

from jupyter_gpu_ext.gpu.compat import Cover, Fit, best_wheel, cover, fit, numbers, tables


def test_every_row_has_a_date_and_a_place_where_it_was_read():
    rows = (*tables().floors, *tables().drivers, *tables().wheels)
    assert len(rows) > 25
    for row in rows:
        assert isinstance(row.date, date)
        assert row.source.startswith("https://")
    assert files("jupyter_gpu_ext.gpu").joinpath("compat.toml").is_file()


def test_newer_cuda_needs_newer_drivers():
    drivers = [row.driver for row in tables().drivers]
    assert drivers == sorted(drivers)
    assert [row.cuda for row in tables().drivers] == sorted(row.cuda for row in tables().drivers)
    for row in tables().drivers:
        assert tables().floor(row.cuda).driver <= row.driver


def test_one_build_of_each_torch_is_the_default():
    torches = {row.torch for row in tables().wheels}
    assert [row.torch for row in tables().wheels if row.default] == sorted(torches)
    assert len({(row.torch, row.cuda) for row in tables().wheels}) == len(tables().wheels)


FITS = [
    # CUDA, what the driver serves, its version
    ("13.0", "13.0", "580.65.06", Fit.FULL),
    ("12.8", "13.0", "580.65.06", Fit.FULL),
    ("13.2", "13.0", "580.65.06", Fit.NO_JIT),
    ("12.8", "12.4", "550.54.14", Fit.NO_JIT),
    ("13.0", "12.9", "575.51.03", Fit.TOO_OLD),
    ("10.2", "10.1", "418.39", Fit.TOO_OLD),
    # The driver was not asked: the tables.
    ("12.6", None, "560.28.03", Fit.FULL),
    ("12.6", None, "535.54.03", Fit.NO_JIT),
    ("13.0", None, "570.26", Fit.TOO_OLD),
    ("11.8", None, "460.1", Fit.NO_JIT),
    ("12.6", None, "390.1", Fit.TOO_OLD),
    # What no row knows falls back to the rule.
    ("13.9", "13.4", "700.1", Fit.NO_JIT),
    ("14.0", "13.4", "700.1", Fit.TOO_OLD),
    ("14.0", "14.1", "800.1", Fit.FULL),
    (None, "13.0", "580.65.06", None),
    ("13.0", None, None, None),
]


@pytest.mark.parametrize(("cuda", "served", "driver", "expected"), FITS)
def test_three_levels_of_fit(cuda, served, driver, expected):
    found = fit(numbers(cuda), driver_cuda=numbers(served), driver=numbers(driver), compat=tables())
    assert found is expected


COVERS = [
    (["sm_80", "sm_90"], "8.0", Cover.CODE),
    (["sm_80", "sm_90"], "8.6", Cover.CODE),
    (["sm_86"], "8.0", Cover.NONE),
    (["sm_90"], "10.0", Cover.NONE),
    (["sm_90", "compute_90"], "12.0", Cover.PTX),
    (["compute_120"], "9.0", Cover.NONE),
    (["sm_90a"], "9.0", Cover.CODE),
    # Jetson's code is its own.
    (["sm_80"], "8.7", Cover.NONE),
    (["sm_87"], "8.7", Cover.CODE),
    (["sm_87"], "8.9", Cover.NONE),
    ([], "9.0", None),
    (["gfx90a"], "9.0", None),
    (["sm_90"], None, None),
]


@pytest.mark.parametrize(("archs", "capability", "expected"), COVERS)
def test_which_code_runs_on_which_device(archs, capability, expected):
    assert cover(archs, numbers(capability)) is expected


WHEELS = [
    ("13.0", "580.65.06", ["9.0"], "x86_64", "cu130"),
    ("12.4", "550.54.14", ["8.9"], "x86_64", "cu126"),
    ("13.0", "580.65.06", ["7.0"], "x86_64", "cu126"),
    ("13.0", "580.65.06", ["12.0"], "x86_64", "cu130"),
    ("12.8", "570.26", ["12.0"], "x86_64", "cu128"),
    ("13.0", "580.65.06", ["11.0"], "aarch64", "cu130"),
    ("13.0", "580.65.06", [], "riscv64", None),
    ("11.8", "520.61.05", ["8.0"], "x86_64", None),
    (None, None, ["9.0"], "x86_64", None),
]


@pytest.mark.parametrize(("served", "driver", "devices", "machine", "tag"), WHEELS)
def test_the_wheel_that_fits(served, driver, devices, machine, tag):
    row = best_wheel(
        tables(),
        driver_cuda=numbers(served),
        driver=numbers(driver),
        capabilities=[numbers(one) for one in devices],
        machine=machine,
    )
    assert (row.tag if row else None) == tag


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("580.65.06", (580, 65, 6)),
        ("2.13.0+cu130", (2, 13, 0)),
        ("", ()),
        ("v1", ()),
        (None, ()),
        ("1" * 5000, (111_111_111,)),
    ],
)
def test_numbers_of_a_version(text, expected):
    assert numbers(text) == expected
