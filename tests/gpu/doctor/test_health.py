from __future__ import annotations

import dataclasses
import re
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_gpu_ext.gpu import facts as rooms
from jupyter_gpu_ext.gpu.checkup import report
from jupyter_gpu_ext.gpu.compare import compare
from jupyter_gpu_ext.gpu.compat import tables
from jupyter_gpu_ext.gpu.facts import Facts
from jupyter_gpu_ext.gpu.finding import LEVELS
from jupyter_gpu_ext.gpu.health import diagnose, verdict
from jupyter_gpu_ext.gpu.messages import FAULTS, fault_in, known_line
from tests.gpu.doctor.recorded import NAMES, recorded

# File: verdict, kinds of findings (worst first), and what the first one's fix has to say.
EXPECTED = {
    "all_hidden": ("error", "all_hidden", "Unset it before Python starts"),
    "arch_missing_new": ("error", "no_kernel_image cuda_works", "/cu130`"),
    "arch_missing_old": ("error", "no_kernel_image cuda_works", "/cu126`"),
    "bus_error_by_message": ("error", "small_shared_memory torch_works", "--shm-size"),
    "cannot_add_up": ("error", "cannot_add_up torch_works", "NCCL_DEBUG=INFO"),
    "changed_late": ("warning", "changed_late torch_works", "Restart the kernel"),
    "compat_older_than_driver": ("error", "compat_library", "/usr/local/cuda-12.8/compat out of LD_LIBRARY_PATH"),
    "compat_on_consumer_card": ("error", "compat_library", "data-centre cards"),
    "compat_works": ("ok", "compat_used torch_works", ""),
    "cpu_torch": ("error", "cpu_torch cuda_works", "/cu130` (fits driver 580)"),
    "cuda_broken": ("error", "cuda_broken", "send the admin"),
    "cuda_unknown_by_message": ("error", "cuda_unknown torch_works", "Restart the kernel"),
    "cudnn_mismatch": ("error", "shadowed_library cudnn_mismatch torch_works", "/usr/lib/cudnn out of LD_LIBRARY_PATH"),
    "debug_torch": ("ok", "debug_torch torch_works", "release build"),
    "device_order": ("ok", "device_order torch_works", "CUDA_DEVICE_ORDER=PCI_BUS_ID"),
    "driver_hangs": ("error", "silent_driver silent_torch", "send the admin"),
    "driver_insufficient_by_message": ("error", "driver_too_old cuda_works", "update the driver"),
    "driver_mismatch": ("error", "driver_mismatch", "save and reboot"),
    "driver_mismatch_by_message": ("error", "driver_mismatch torch_works", "save and reboot"),
    "driver_too_old": ("error", "driver_too_old cuda_works", "/cu126` (fits driver 550)"),
    "extension_of_another_cuda": ("error", "missing_library torch_works", "Reinstall the extension for CUDA 13.0"),
    "extension_without_code": ("error", "no_kernel_image torch_works", "TORCH_CUDA_ARCH_LIST"),
    "fabric_manager": ("error", "fabric_manager", "another node"),
    "foreign_nccl": ("ok", "foreign_nccl torch_works", "LD_LIBRARY_PATH"),
    "gpu_hangs": ("error", "silent_torch cuda_works", "Xid"),
    "gpu_lost": ("error", "driver_broken", "gone"),
    "healthy": ("ok", "torch_works", ""),
    "healthy_two": ("ok", "torch_works", ""),
    "image_requires_cuda": ("warning", "image_requires_cuda no_torch cuda_works", "NVIDIA_DISABLE_REQUIRE=1"),
    "image_requires_cuda_by_message": ("error", "image_requires_cuda torch_works", "older tag"),
    "library_of_wheels_missing": ("error", "missing_library cuda_works", "without `--no-deps`"),
    "mig": ("ok", "mig torch_works", "CUDA_VISIBLE_DEVICES=MIG-"),
    "mig_without_slices": ("error", "no_cuda_device", "nvidia-smi mig"),
    "minor_no_jit": ("ok", "no_jit torch_works", "update the driver"),
    "minor_no_jit_needs_ptx": ("error", "ptx cuda_works", "Update the driver"),
    "no_compute": ("error", "no_compute", "compute,utility"),
    "no_gpu": ("warning", "no_driver", "nvidia.com/gpu: 1"),
    "no_gpu_void": ("warning", "no_driver", "--gpus all"),
    "no_torch": ("ok", "no_torch cuda_works", "pip install torch"),
    "out_of_memory": ("error", "cannot_compute cuda_works", "%gpu who"),
    "ptx_by_message": ("error", "ptx torch_works", "extension"),
    "rights_lost": ("error", "rights_lost", "CDI"),
    "rights_lost_by_message": ("error", "rights_lost torch_works", "delete the pod"),
    "sensors_blocked": ("ok", "sensors_blocked torch_works", "compute,utility"),
    "shadowed_but_works": ("ok", "shadowed_library torch_works", "/usr/local/cuda-12.3/lib64 out of LD_LIBRARY_PATH"),
    "shadowed_nvjitlink": ("error", "shadowed_library cuda_works", "/usr/local/cuda-12.3/lib64 out of LD_LIBRARY_PATH"),
    "simulated": ("ok", "simulated", "Unset"),
    "slow_import": ("warning", "silent_torch cuda_works", "try it again"),
    "small_shared_memory": ("warning", "small_shared_memory torch_works", "emptyDir"),
    "some_hidden": ("warning", "some_hidden torch_works", "before Python starts"),
    "sum_hangs": ("warning", "no_sum torch_works", "NCCL_P2P_DISABLE=1"),
    "torch_broken": ("error", "torch_broken cuda_works", "pip install"),
    "torch_sees_no_gpu": ("error", "torch_sees_no_gpu cuda_works", "Restart the kernel"),
    "torchrun_without_gpu": ("error", "torchrun_without_gpu no_driver", "--nproc-per-node=gpu"),
    "user_without_name": ("warning", "user_without_name torch_works", "USER=me TORCHINDUCTOR_CACHE_DIR="),
    "user_without_name_by_message": ("error", "user_without_name torch_works", "USER=me TORCHINDUCTOR_CACHE_DIR="),
    "uvm_missing": ("error", "cuda_unknown", "nvidia-modprobe -u"),
}


@pytest.mark.parametrize("name", NAMES)
def test_each_fault_is_recognised_with_its_cure_and_no_other(name):
    worst, kinds, cure = EXPECTED[name]
    found = report(recorded(name))
    assert (found.verdict, " ".join(one.id for one in found.findings)) == (worst, kinds)
    assert cure in found.findings[0].fix


def test_every_row_has_its_file():
    assert set(EXPECTED) == set(NAMES)
    seen = {kind for _, kinds, _ in EXPECTED.values() for kind in kinds.split()}
    assert set(FAULTS) <= seen


@pytest.mark.parametrize("name", NAMES)
def test_a_finding_is_one_sentence_its_evidence_a_next_step_and_a_place_to_read(name):
    for one in report(recorded(name)).findings:
        assert re.fullmatch(r"(?:[A-Z]|torch|lib).*\.", one.title), one.title
        assert one.evidence.endswith("."), one.evidence
        assert not one.source or one.source.startswith("https://")
        if one.level in ("warning", "error"):
            assert one.fix, one.id


@pytest.mark.parametrize("name", NAMES)
def test_facts_and_reports_survive_json(name):
    facts = recorded(name)
    assert Facts.from_json(facts.to_json()) == facts
    found = report(facts)
    assert set(found.to_json()) == {"verdict", "title", "findings", "report", "facts"}
    assert found.markdown().startswith("# GPU doctor\n")
    assert found.title in found.markdown()


def test_every_unknown_fact_has_a_reason():
    for name in NAMES:
        for group in ("system", "driver", "torch", "session"):
            values = getattr(recorded(name), group)
            missing = {one.name for one in dataclasses.fields(values) if getattr(values, one.name) is None}
            assert missing <= set(values.unknown), (name, group)


TEXTS = [
    "", "12.4", "13.0", "580.65.06", "x", "broken", "blocked", "sm_90", "no answer within 9 s", "9.0",
    "a.b..c", "9" * 40, "é\n|", "cuda>=12.8 brand=a,driver>1",
    "Torch not compiled with CUDA enabled", "Error 802: system not yet initialized",
    "libcudart.so: cannot open shared object", "libcuda.so.1: cannot open shared object file",
]  # fmt: skip


def strategy(kind):
    """Return facts of any kind in which anything may be missing."""
    text = st.sampled_from(TEXTS)
    made = {
        bool: st.booleans(), int: st.sampled_from([-1, 0, 1, 100, 803, 999, 2**70]), float: st.floats(0, 9), str: text,
        dict[str, str]: st.dictionaries(
            st.sampled_from(["CUDA_VISIBLE_DEVICES", "NVIDIA_REQUIRE_CUDA", "nvidia-cudnn-cu13", "products"]),
            text, max_size=3,
        ),
    }  # fmt: skip
    if kind in made:
        return made[kind]
    arguments = getattr(kind, "__args__", ())
    if type(None) in arguments:
        return st.none() | strategy(arguments[0])
    if getattr(kind, "__origin__", None) is tuple:
        return st.lists(strategy(arguments[0]), max_size=2).map(tuple)
    hints = {name: strategy(hint) for name, hint in get_type_hints(kind).items()}
    return st.builds(kind, **hints)


@given(strategy(rooms.Facts), strategy(rooms.Facts))
def test_whatever_is_missing_the_doctor_answers(facts, others):
    found = diagnose(facts, tables())
    assert [LEVELS.index(one.level) for one in found] == sorted(LEVELS.index(one.level) for one in found)
    assert len({one.id for one in found}) == len(found)
    assert verdict(found) in ("ok", "warning", "error")
    compare(facts, others)
    whole = report(facts)
    assert "\n" not in whole.title
    assert Facts.from_json(facts.to_json()) == facts


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda one: st.lists(one) | st.dictionaries(
    st.sampled_from(["system", "driver", "torch", "unknown", "products", "devices"]), one)))  # fmt: skip
def test_what_is_no_facts_is_refused(data):
    try:
        Facts.from_json(data)
    except ValueError:
        return
    assert isinstance(data, dict)


def test_what_a_newer_version_knows_besides_is_left_out():
    data = recorded("healthy").to_json()
    data["torch"]["invented"] = {"a": 1}
    assert Facts.from_json(data) == recorded("healthy")


@pytest.mark.parametrize("text", ["RuntimeError: shape mismatch", "", "ModuleNotFoundError: No module named 'x'"])
def test_an_error_that_is_not_known_says_nothing(text):
    assert fault_in(text) is None
    assert known_line(RuntimeError(text)) is None


def test_of_an_error_only_the_line_that_is_known_is_kept():
    error = ImportError("my module\nis private")
    error.__cause__ = OSError("libcudart.so.11.0: cannot open shared object file\npassword=hunter2")
    assert known_line(error) == "OSError: libcudart.so.11.0: cannot open shared object file"


def test_the_text_has_the_verdict_then_the_worst_and_each_next_step():
    lines = str(report(recorded("small_shared_memory"))).splitlines()
    assert lines[0] == "Doctor: something may not work."
    assert lines[1].startswith("warning: Shared memory")
    assert lines[3].strip().startswith("→ Docker: `--shm-size=8g`")
    assert [line.partition(":")[0] for line in lines if not line.startswith(" ")] == ["Doctor", "warning", "ok"]


DIFFERENCES = {
    "the same": ("healthy", "healthy", []),
    "another torch": ("healthy", "cpu_torch", ["other_torch"]),
    "no torch on the server": ("no_torch", "healthy", ["other_torch"]),
    "other devices": ("healthy", "healthy_two", ["other_devices"]),
    "another libcuda": ("healthy", "compat_older_than_driver", ["other_driver"]),
    "no libcuda in the kernel": ("healthy", "no_compute", ["other_driver"]),
    "nothing known": ("healthy", "driver_hangs", []),
}


@pytest.mark.parametrize(("server", "kernel", "kinds"), DIFFERENCES.values(), ids=DIFFERENCES)
def test_what_differs_between_server_and_kernel(server, kernel, kinds):
    assert [one.id for one in compare(recorded(server), recorded(kernel))] == kinds
