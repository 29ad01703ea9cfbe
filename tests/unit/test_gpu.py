"""What NVML tells, and what is told where it tells nothing."""

from __future__ import annotations

import sys

import pytest

from tests.support.nvml import FakeNvml
from voicenode import gpu


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


def test_every_gpu_is_told_with_its_memory(nvml: FakeNvml) -> None:
    seen = gpu.look()
    assert (seen.driver, seen.cuda) == ("580.65", (13, 2))
    assert seen.gpus[1] == gpu.Gpu("Card 1", "GPU-1", total=100, used=1, free=99)
    assert nvml.open == 0


def test_memory_is_counted_by_process_over_all_gpus(nvml: FakeNvml) -> None:
    nvml.processes = [[(7, 100), (8, 50)], [(7, 11), (9, None)]]
    assert gpu.vram_by_process() == {7: 111, 8: 50}
    assert nvml.open == 0


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (12, gpu.NoNvmlError, "no NVIDIA driver"),
        (18, gpu.NvmlError, "updated while it ran; restart"),
        (9, gpu.NvmlError, "not loaded"),
        (4, gpu.NvmlError, "groups video"),
        (999, gpu.NvmlError, "error 999"),
    ],
)
def test_a_driver_that_does_not_work_is_explained(
    nvml: FakeNvml, code: int, kind: type[Exception], words: str
) -> None:
    nvml.init_error = code
    with pytest.raises(gpu.NvmlError, match=words) as caught:
        gpu.look()
    assert type(caught.value) is kind
    assert gpu.vram_by_process() is None


def test_what_fails_after_the_start_is_explained_and_let_go_of(nvml: FakeNvml) -> None:
    nvml.count_error = 1
    with pytest.raises(gpu.NvmlError, match="error 1"):
        gpu.look()
    assert gpu.vram_by_process() is None
    assert nvml.open == 0


def test_without_the_module_there_is_nothing_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(gpu.NoNvmlError, match="nvidia-ml-py"):
        gpu.look()
    assert gpu.vram_by_process() is None


@pytest.mark.parametrize(
    ("visible", "device", "free"),
    [
        (None, "auto", 100),
        (None, "cuda", 100),
        (None, "cuda:1", 99),
        (None, "cuda:2", None),
        (None, "cpu", None),
        ("1", "auto", 99),
        ("1,0", "cuda:1", 100),
        ("GPU-1", "cuda:0", 99),
        ("1,7,0", "cuda:1", None),
        ("", "cuda:0", None),
    ],
)
@pytest.mark.usefixtures("nvml")
def test_free_memory_is_that_of_the_device_which_cuda_means(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, device: str, free: int | None
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpu.free_memory(device) == free


def test_without_a_driver_nobody_knows_what_is_free(nvml: FakeNvml) -> None:
    nvml.init_error = 12
    assert gpu.free_memory("auto") is None
