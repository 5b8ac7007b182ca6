"""What a load into a model promises on any device; a subclass names the device and how its memory is counted."""

from __future__ import annotations

import gc
import signal
import threading
import time
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import safetensors.torch
import torch

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import BadRequestError, GpuExtError
from tests.contracts.device_loads import on_range
from tests.tensors.files import torch_bytes

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


class Net(torch.nn.Module):
    """32 MB, with tied weights, a buffer, a frozen parameter and a buffer that no file holds."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.embed = torch.nn.Embedding(1000, 1000)
        self.layers = torch.nn.ModuleList(torch.nn.Linear(1000, 1000) for _ in range(7))
        self.norm = torch.nn.BatchNorm1d(1000)
        self.head = torch.nn.Linear(1000, 1000, bias=False)
        self.head.weight = self.embed.weight
        self.norm.weight.requires_grad_(False)
        self.register_buffer("table", torch.arange(16.0), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x)


def on_meta() -> Net:
    # Building it under torch.device("meta") gives the same, after some seconds of imports.
    net = Net().to("meta")
    net.head.weight = net.embed.weight
    return net


def equal(model: torch.nn.Module, state: dict[str, torch.Tensor], dtype: torch.dtype | None = None) -> bool:
    return all(
        torch.equal(one.cpu(), state[name].to(dtype) if dtype and state[name].is_floating_point() else state[name])
        for name, one in model.state_dict().items()
    )


class IntoContract:
    device: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _small_ring(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("JUPYTER_GPU_RING_MIB", "16")

    @pytest.fixture(scope="class")
    @classmethod
    def state(cls) -> dict[str, torch.Tensor]:
        return {name: one.clone() for name, one in Net(1).state_dict().items()}

    @pytest.fixture(scope="class")
    @classmethod
    def file(cls, state: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
        path = tmp_path_factory.mktemp("into") / "net.pt"
        path.write_bytes(torch_bytes(Net(1).state_dict()))
        return path

    def held_bytes(self) -> int:
        raise NotImplementedError

    def tight(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have no room for a second model."""
        raise NotImplementedError

    def model(self) -> Net:
        net = Net().to(self.device)
        net.head.weight = net.embed.weight
        return net

    def test_in_place(self, file: Path, state: dict[str, torch.Tensor]) -> None:
        net = self.model()
        before = {name: (one, one.data_ptr()) for name, one in net.named_parameters()}
        report = jg.load_into(net, str(file))
        assert equal(net, state)
        assert {name: (one, one.data_ptr()) for name, one in net.named_parameters()} == before
        assert (net.norm.weight.requires_grad, net.norm.bias.requires_grad) == (False, True)
        assert str(report).startswith("Net: 20 tensors on " + self.device)
        assert "\n" not in str(report)

    def test_in_place_without_room_for_a_second_model(
        self, file: Path, state: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        net = self.model()
        self.tight(monkeypatch)
        jg.load_into(net, str(file))
        assert equal(net, state)

    def test_meta_gets_memory_once(self, file: Path, state: dict[str, torch.Tensor]) -> None:
        net = on_meta()
        report = jg.load_into(net, str(file), device=self.device)
        assert equal(net, state)
        assert {str(one.device) for one in net.parameters()} == {self.device}
        assert net.head.weight is net.embed.weight
        assert (net.norm.weight.requires_grad, net.norm.bias.requires_grad) == (False, True)
        assert report.on_meta == ("table",)
        assert "still on meta: 1 tensor (table)" in str(report)

    def test_types(self, file: Path, state: dict[str, torch.Tensor]) -> None:
        net = self.model().half()
        jg.load_into(net, str(file))
        assert equal(net, state, torch.float16)
        net = self.model()
        parameter = net.embed.weight
        jg.load_into(net, str(file), dtype="bfloat16")
        assert net.embed.weight is parameter, "what an optimizer refers to"
        assert net.embed.weight.dtype == torch.bfloat16
        assert equal(net, state, torch.bfloat16)
        assert net.head.weight is net.embed.weight
        net = on_meta().bfloat16()
        jg.load_into(net, str(file), device=self.device)
        assert equal(net, state, torch.bfloat16)

    def test_moves_a_model(self, file: Path, state: dict[str, torch.Tensor]) -> None:
        net = Net()
        jg.load_into(net, str(file), device=self.device)
        assert equal(net, state)
        assert str(net.embed.weight.device) == self.device
        assert net.head.weight is net.embed.weight

    def test_names_by_glob_on_either_side(self, state: dict[str, torch.Tensor], tmp_path: Path) -> None:
        path = tmp_path / "x.safetensors"
        alone = {f"module.{name}": one.clone() for name, one in state.items() if name != "head.weight"}
        path.write_bytes(safetensors.torch.save(alone))
        net = self.model()
        with pytest.raises(BadRequestError, match=r"20 missing .* 20 unexpected") as refused:
            jg.load_into(net, str(path))
        assert 'rename={"module.*": "*"}' in refused.value.hint
        jg.load_into(net, str(path), rename={"module.*": "*"})
        assert equal(net, state)
        wrapped = torch.nn.Sequential()
        wrapped.add_module("_orig_mod", self.model())
        with pytest.raises(BadRequestError) as refused:
            jg.load_into(wrapped, str(path))
        assert 'rename={"module.*": "_orig_mod.*"}' in refused.value.hint
        jg.load_into(wrapped, str(path), rename={"module.*": "_orig_mod.*"})
        assert equal(wrapped[0], state)

    def test_what_a_file_ties_the_model_need_not(self, tmp_path: Path) -> None:
        weight = torch.randn(40, 10)
        some = {"0.weight": weight[:10], "1.weight": weight[:10], "2.weight": weight[10:20].t()}
        (tmp_path / "x.pt").write_bytes(torch_bytes(some))
        net = torch.nn.Sequential(*(torch.nn.Linear(10, 10, bias=False) for _ in range(3))).to("meta")
        jg.load_into(net, str(tmp_path / "x.pt"), device=self.device)
        assert len({one.data_ptr() for one in net.parameters()}) == 3
        assert {one.untyped_storage().nbytes() for one in net.parameters()} == {400}
        assert all(torch.equal(net[at].weight.cpu(), some[f"{at}.weight"]) for at in range(3))

    def test_transform_takes_the_place(self, file: Path, state: dict[str, torch.Tensor]) -> None:
        seen: dict[str, str] = {}
        right: list[bool] = []
        whole = state

        def transform(name: str, tensor: torch.Tensor) -> torch.Tensor:
            seen[name] = str(tensor.device)
            # As whoever looks for the largest element does.
            right.append(torch.equal(tensor.cpu(), whole[name]))
            return tensor[:10].clone() if name == "layers.3.weight" else tensor.clone()

        net, state = on_meta(), dict(state)
        jg.load_into(net, str(file), device=self.device, transform=transform)
        assert set(seen.values()) == {self.device}
        assert right == [True] * 20
        assert len(seen) == 20
        assert torch.equal(net.layers[3].weight.cpu(), state["layers.3.weight"][:10])
        del state["layers.3.weight"]
        assert all(torch.equal(net.state_dict()[name].cpu(), one) for name, one in state.items())

    @pytest.mark.parametrize("transform", [lambda *_: None, lambda *_: 1 / 0])
    def test_a_bad_transform_changes_nothing(self, file: Path, transform: Any) -> None:
        net = self.model()
        before = {name: one.cpu().clone() for name, one in net.state_dict().items()}
        with pytest.raises((BadRequestError, ZeroDivisionError)):
            jg.load_into(net, str(file), transform=transform)
        assert equal(net, before)

    def test_not_strict(self, state: dict[str, torch.Tensor], tmp_path: Path) -> None:
        path = tmp_path / "x.pt"
        some = {name: one for name, one in state.items() if not name.startswith("layers.2")}
        some |= {"more": torch.ones(3), "layers.1.bias": torch.ones(3)}
        path.write_bytes(torch_bytes(some))
        net = self.model()
        before = {name: one.cpu().clone() for name, one in net.state_dict().items()}
        words = (
            r"2 missing \(layers.2.weight, layers.2.bias\), 1 unexpected \(more\), 1 of another shape \(layers.1.bias"
        )
        with pytest.raises(BadRequestError, match=words):
            jg.load_into(net, str(path))
        assert equal(net, before)
        report = jg.load_into(net, str(path), strict=False)
        assert report.match.missing == ("layers.2.weight", "layers.2.bias")
        assert "1 unexpected (more)" in str(report)
        kept = {name: one for name, one in before.items() if name.startswith("layers.2") or name == "layers.1.bias"}
        assert equal(net, state | kept)

    def test_by_keys(self, file: Path, state: dict[str, torch.Tensor]) -> None:
        net = self.model()
        before = {name: one.cpu().clone() for name, one in net.state_dict().items()}
        report = jg.load_into(net, str(file), keys=["layers.[0-2].*"])
        assert report.match.missing == ()
        loaded = {name: one for name, one in state.items() if name[:8] in ("layers.0", "layers.1", "layers.2")}
        assert equal(net, before | loaded)
        assert report.receipt.bytes_read < 13 * MIB

    @pytest.mark.parametrize("after", [0, 2])
    def test_a_fault_changes_nothing(self, file: Path, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
        net = self.model()
        before = {name: one.cpu().clone() for name, one in net.state_dict().items()}
        held = self.held_bytes()
        with on_range(monkeypatch, after, _fail), pytest.raises(GpuExtError, match=r"^a fault$"):
            jg.load_into(net, str(file))
        assert equal(net, before)
        net(torch.ones(1, 1000, device=self.device))
        blank = on_meta()
        with on_range(monkeypatch, after, _fail), pytest.raises(GpuExtError, match=r"^a fault$"):
            jg.load_into(blank, str(file), device=self.device)
        assert all(one.device.type == "meta" for one in blank.parameters())
        self.assert_back_to(held)

    def test_an_interrupt_changes_nothing(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        main = threading.main_thread().ident
        net = on_meta()
        held = self.held_bytes()
        stop = on_range(monkeypatch, 2, lambda: signal.pthread_kill(main, signal.SIGINT))
        with stop, pytest.raises(KeyboardInterrupt):
            jg.load_into(net, str(file), device=self.device)
        assert all(one.device.type == "meta" for one in net.parameters())
        self.assert_back_to(held)

    def test_half_loaded_is_said_and_the_model_refuses_to_run(
        self, file: Path, state: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        net = self.model()
        with monkeypatch.context() as tight:
            self.tight(tight)
            with on_range(monkeypatch, 3, _fail), pytest.raises(GpuExtError, match="a fault The model is half loaded"):
                jg.load_into(net, str(file))
        x = torch.ones(1, 1000, device=self.device)
        with pytest.raises(BadRequestError, match="half loaded"):
            net(x)
        monkeypatch.setenv("JUPYTER_GPU_RING_MIB", "16")
        jg.load_into(net, str(file))
        assert equal(net, state)
        net(x)

    def test_an_interrupt_half_way_is_said_too(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        main = threading.main_thread().ident
        net = self.model()
        with monkeypatch.context() as tight:
            self.tight(tight)
            stop = on_range(monkeypatch, 3, lambda: signal.pthread_kill(main, signal.SIGINT))
            with stop, pytest.raises(KeyboardInterrupt, match="The model is half loaded"):
                jg.load_into(net, str(file))
        with pytest.raises(BadRequestError, match="half loaded"):
            net(torch.ones(1, 1000, device=self.device))

    def assert_back_to(self, held: int) -> None:
        deadline = time.monotonic() + 20
        while gc.collect() >= 0 and self.held_bytes() > held and time.monotonic() < deadline:
            time.sleep(0.05)
        assert self.held_bytes() <= held


def _fail() -> None:
    raise GpuExtError("a fault")
