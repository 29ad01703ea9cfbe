"""Where the model runs, in which precision, and what it says when there is no room."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from voicenode.engine import OutOfMemoryError
from voicenode_f5.files import unavailable

_FAST_HALVES = 7
"""The first compute capability that is fast in half precision; upstream draws the same line."""
_TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def choose(device: str, precision: str) -> tuple[torch.device, torch.dtype]:
    """What the settings mean on this machine.

    Args:
        device: auto, cpu, cuda or cuda:N.
        precision: auto, fp32, fp16 or bf16; auto is fp16 where a GPU is fast at it, else fp32.

    Raises:
        EngineError: there is no such device.
    """
    chosen = _device(device)
    if precision != "auto":
        return chosen, _TYPES[precision]
    fast = chosen.type == "cuda" and torch.cuda.get_device_capability(chosen)[0] >= _FAST_HALVES
    return chosen, torch.float16 if fast else torch.float32


@contextmanager
def memory_told() -> Iterator[None]:
    """Tell that memory is full in words for the user.

    Raises:
        OutOfMemoryError: what is done inside found no room.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise OutOfMemoryError(
            "F5-TTS: the memory of the GPU is full; end other programs on it, or set `device: cpu`"
        ) from error
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "can't allocate memory" not in str(error):
            raise
        raise OutOfMemoryError("F5-TTS: the memory of the machine is full; end other programs") from error


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:  # no driver, an old one, or a PyTorch without CUDA
        reason = str(error).partition("\n")[0]
        raise unavailable(
            f"the device '{name}' cannot be used ({reason}); set `device` to auto or cpu"
        ) from error
    index, found = int(name.partition(":")[2] or 0), torch.cuda.device_count()
    if index >= found:
        raise unavailable(f"the device '{name}' is not here: the machine has {found} GPUs, counted from 0")
    return torch.device("cuda", index)
