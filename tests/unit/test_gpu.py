"""What NVML tells, and what is told where it tells nothing."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from voicenode import gpu


class FakeNvmlError(Exception):
    def __init__(self, value: int) -> None:
        super().__init__(f"error {value}")
        self.value = value


@dataclass
class FakeNvml:
    """NVIDIA's module with two GPUs, or with one error at everything that is asked."""

    processes: list[list[tuple[int, int | None]]] = field(default_factory=lambda: [[], []])
    init_error: int = 0
    count_error: int = 0
    open: int = 0
    NVMLError: type[Exception] = FakeNvmlError

    def nvmlInit(self) -> None:  # noqa: N802 (NVML's names)
        if self.init_error:
            raise FakeNvmlError(self.init_error)
        self.open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        if self.count_error:
            raise FakeNvmlError(self.count_error)
        return len(self.processes)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetName(self, handle: int) -> str:  # noqa: N802
        return f"Card {handle}"

    def nvmlDeviceGetUUID(self, handle: int) -> str:  # noqa: N802
        return f"GPU-{handle}"

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(total=100, used=handle, free=100 - handle)

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "580.65"

    def nvmlSystemGetCudaDriverVersion(self) -> int:  # noqa: N802
        return 13020

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[SimpleNamespace]:  # noqa: N802
        return [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in self.processes[handle]]


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
    assert gpu.vram_by_process() == {7: 111, 8: 50, 9: 0}
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
