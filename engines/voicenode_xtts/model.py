"""The model in memory: built without weights, which are then mapped from their file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from torch import nn
from torch.overrides import TorchFunctionMode

from voicenode_xtts import processor
from voicenode_xtts.arriving import Beside, SideStream, SideThread
from voicenode_xtts.conversion import convert
from voicenode_xtts.decoding import Decoder
from voicenode_xtts.files import MODEL, unavailable, unfit
from voicenode_xtts.gpt import GPT, Sizes
from voicenode_xtts.int8 import int8
from voicenode_xtts.text import Tokenizer
from voicenode_xtts.vocoder import HifiGan, Vocoder, VocoderStream

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from voicenode_xtts.files import ModelFolder
    from voicenode_xtts.options import XttsOptions

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Model:
    """All that speaks."""

    gpt: GPT
    decoder: Decoder
    hifigan: Vocoder
    beside: Beside
    """Where the vocoder computes while the decoder does."""
    tokenizer: Tokenizer
    config: Mapping[str, Any]
    weights: Path
    rate: int
    """Samples per second."""
    scales: tuple[float, ...]
    """How much the latents are stretched to be frames, step by step as in upstream's `HifiDecoder`."""

    @property
    def device(self) -> torch.device:
        return self.gpt.mel_head.weight.device

    @property
    def tokens_per_second(self) -> float:
        arguments = self.config["model_args"]
        return float(arguments["input_sample_rate"] / arguments["gpt_code_stride_len"])

    def vocoder(self, embedding: Tensor, speed: float) -> VocoderStream:
        """A decoder of one utterance."""
        scales = self.scales if speed == 1 else (1 / speed, *self.scales)
        return VocoderStream(self.hifigan, embedding, scales)


def load(folder: ModelFolder, options: XttsOptions) -> Model:
    """Build the model from the files of a folder, which are converted first where that has not been done.

    Raises:
        EngineError: they are missing, damaged or of another model; or the device of the options is not there.
    """
    folder.check()
    config = folder.config()
    device = _device(options.device)
    arguments = config["model_args"]
    tokenizer = Tokenizer(folder.vocabulary, arguments["gpt_max_text_tokens"])
    convert(folder)
    weights = folder.converted(MODEL)
    if weights is None:
        raise unavailable(f"{folder.source(MODEL)} changed while it was converted; try again")
    made = _Made(folder, weights, device, Sizes.of(arguments, tokenizer))
    gpt, dtype = made.exact_gpt() if options.precision == "exact" else made.fast_gpt()
    rate, scales = arguments["output_sample_rate"], _scales(arguments)
    decoder, vocoder = Decoder(gpt, dtype), made.vocoder(arguments, dtype)
    if device.type != "cpu":
        decoder.rehearse()
    return Model(
        gpt, decoder, vocoder, made.beside(options.precision), tokenizer, config, weights, rate, scales
    )


@dataclass(frozen=True, slots=True)
class _Made:
    """The parts, with their weights on a device."""

    folder: ModelFolder
    weights: Path
    device: torch.device
    sizes: Sizes

    def exact_gpt(self) -> tuple[GPT, torch.dtype]:
        """In float32 throughout; and what its keys and values are kept in."""
        torch.backends.cudnn.allow_tf32 = False  # a little less, which cuDNN takes for it
        return self._gpt(torch.float32), torch.float32

    def fast_gpt(self) -> tuple[GPT, torch.dtype]:
        """As this device is quickest; and what its keys and values are kept in."""
        if self.device.type != "cpu":
            return self._gpt(torch.float16), torch.float16
        from voicenode_xtts.int8_gpt import Int8GPT  # noqa: PLC0415  (is compiled on import)

        wide = processor.wide()
        with torch.device("meta"), Unfilled():
            gpt = Int8GPT(self.sizes, wide)
        fill(gpt, int8(self.folder, self.weights), "gpt.", self._source, lambda weight: weight)
        return gpt, wide

    def beside(self, precision: str) -> Beside:
        """Where the vocoder computes: the exact model's steps take all threads themselves."""
        if self.device.type == "cuda":
            return SideStream(self.device)
        spare = torch.get_num_threads() - 1
        return SideThread(spare) if spare and precision == "fast" else Beside()

    def vocoder(self, arguments: Mapping[str, Any], dtype: torch.dtype) -> Vocoder:
        """Its blocks compute in `dtype` on a processor, and in float32 elsewhere."""
        with torch.device("meta"), Unfilled():
            parts = HifiGan(arguments["decoder_input_dim"], arguments["d_vector_dim"])
        prefix = "hifigan_decoder.waveform_decoder."
        fill(parts, self.weights, prefix, self._source, lambda weight: weight.to(self.device, torch.float32))
        return Vocoder(parts, dtype if self.device.type == "cpu" else torch.float32)

    def _gpt(self, dtype: torch.dtype) -> GPT:
        with torch.device("meta"), Unfilled():
            gpt = GPT(self.sizes)
        fill(gpt, self.weights, "gpt.", self._source, lambda weight: weight.to(self.device, dtype))
        return gpt

    @property
    def _source(self) -> Path:
        """What a user knows the weights as."""
        published = self.folder.source(MODEL)
        return published if published.is_file() else self.weights


class Unfilled(TorchFunctionMode):
    """Modules that are made inside draw no random weights.

    On the meta device that would cost nothing, but for the compiler that PyTorch imports to say so: seconds.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Collection[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401  (whatever the function returns)
        del types
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == nn.init.__name__:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def fill(
    module: nn.Module, weights: Path, prefix: str, source: Path, place: Callable[[Tensor], Tensor]
) -> None:
    """Give a module the tensors whose names begin with a prefix.

    Raises:
        EngineError: they are not those of this module; the sentence names `source`.
    """
    expected = module.state_dict()
    with safe_open(weights, "pt") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118  (no mapping)
        wrong = [
            f"{prefix}{name} is {shapes.get(prefix + name, 'missing')} and should be {tuple(tensor.shape)}"
            for name, tensor in expected.items()
            if shapes.get(prefix + name) != tuple(tensor.shape)
        ]
        if wrong:
            raise unfit(
                f"{source} has not the weights that config.json and vocab.json beside it describe: "
                f"{'; '.join(wrong[:_SHOWN])}{' ...' if len(wrong) > _SHOWN else ''}"
            )
        tensors = {name: place(file.get_tensor(prefix + name)) for name in expected}
    module.load_state_dict(tensors, assign=True)
    module.eval().requires_grad_(requires_grad=False)


def _device(wanted: str) -> torch.device:
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    device = torch.device("cuda" if wanted == "auto" else wanted)
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
        torch.cuda.get_device_properties(device)
        torch.cuda.set_device(device.index or 0)  # where streams and events are made
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise unavailable(
            f"device {wanted} cannot be used: {reason}; set `device: cpu`, or mend the GPU's driver"
        ) from error
    return device


def _scales(arguments: Mapping[str, Any]) -> tuple[float, ...]:
    scales = [arguments["gpt_code_stride_len"] / arguments["output_hop_length"]]
    if arguments["output_sample_rate"] != arguments["input_sample_rate"]:
        scales.append(arguments["output_sample_rate"] / arguments["input_sample_rate"])
    return tuple(scales)
