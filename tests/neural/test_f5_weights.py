"""Checkpoints as they are found: good ones are mapped, bad ones are named."""

from __future__ import annotations

import shutil
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support import f5_checkpoints
from voicenode.engine import EngineError, ErrorCode, Segment
from voicenode.models import MODELS
from voicenode_f5 import F5Engine, F5Options

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

pytestmark = pytest.mark.neural

MODEL = "F5TTS_v1_Base"
CHECKPOINT = f"{MODEL}/model_1250000.safetensors"
VOCOS = "vocos-mel-24khz/pytorch_model.bin"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = f5_checkpoints.make(tmp_path_factory.mktemp("published"))
    return f5_checkpoints.make(folder, "E2TTS_Base")


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    """One to spoil."""
    return shutil.copytree(published, tmp_path / "f5")


def engine(folder: Path, **options: Any) -> F5Engine:  # noqa: ANN401 (as many types as options)
    chosen: dict[str, Any] = {"device": "cpu", "threads": 1} | options
    engine = F5Engine(F5Options(path=str(folder), **chosen))
    engine.load()
    return engine


def spoken(engine: F5Engine) -> bytes:
    segment = Segment("Some words to be heard.", "en", "en", parameters={"nfe_step": 2, "seed": 1})
    return b"".join(engine.synthesize(segment, Event()))


def error(folder: Path, **options: Any) -> str:  # noqa: ANN401
    with pytest.raises(EngineError) as raised:
        engine(folder, **options)
    assert raised.value.code == ErrorCode.ENGINE_UNAVAILABLE
    return str(raised.value)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def fill_with_text(path: Path) -> None:
    path.write_text("<html>404</html>" * 100)


@pytest.mark.parametrize("file", [CHECKPOINT, VOCOS])
@pytest.mark.parametrize("spoil", [truncate, empty, fill_with_text])
def test_a_damaged_file_is_named_and_what_to_do(
    folder: Path, file: str, spoil: Callable[[Path], None]
) -> None:
    spoil(folder / file)
    told = error(folder)
    assert f"{folder / file} is truncated or damaged" in told
    assert "voicenode models download f5" in told


def test_a_truncated_vocoder_is_found_after_it_was_converted_too(folder: Path) -> None:
    engine(folder)
    truncate((folder / VOCOS).with_suffix(".safetensors"))
    assert "pytorch_model.safetensors is truncated" in error(folder)


@pytest.mark.parametrize(
    ("file", "told"),
    [
        (CHECKPOINT, f"no weights of {MODEL}"),
        (f"{MODEL}/vocab.txt", "vocab.txt is missing"),
        (VOCOS, "no weights of the vocoder"),
    ],
)
def test_a_missing_file_is_named_and_what_to_do(folder: Path, file: str, told: str) -> None:
    (folder / file).unlink()
    said = error(folder)
    assert told in said
    assert "voicenode models download f5" in said


def test_without_any_download_the_folder_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "nothing" / MODEL) in error(tmp_path / "nothing")


def test_every_model_that_can_be_downloaded_is_named_as_the_command_knows_it(tmp_path: Path) -> None:
    for model in (model for model in MODELS.values() if model.engine == "f5"):
        told = error(tmp_path, **model.options)
        assert told.endswith(f"`voicenode models download {model.name}`")


def test_the_weights_of_another_network_are_told_from_damaged_ones(folder: Path) -> None:
    shutil.copy(folder / "E2TTS_Base" / "model_1250000.safetensors", folder / CHECKPOINT)
    told = error(folder)
    assert f"holds a network of E2TTS_Base, not a network of {MODEL}" in told
    assert "setting `model`" in told


def test_the_weights_of_something_else_are_named(folder: Path) -> None:
    save_file({"conv.weight": torch.zeros(3)}, folder / CHECKPOINT)
    assert "holds no network that F5-TTS knows" in error(folder)


def test_a_tensor_that_does_not_fit_is_named(folder: Path) -> None:
    weights = load_file(folder / CHECKPOINT)
    name = "transformer_blocks.1.attn.to_v.weight"
    weights[f"ema_model.transformer.{name}"] = torch.zeros(3, 3)
    save_file(weights, folder / CHECKPOINT)
    assert f"'{name}' has the shape (3, 3), expected (64, 64)" in error(folder)


def test_a_vocoder_of_another_kind_is_named(folder: Path) -> None:
    torch.save({"decoder.weight": torch.zeros(3)}, folder / VOCOS)
    assert f"{folder / VOCOS} is not a checkpoint of this network" in error(folder)


def test_a_vocabulary_of_another_model_is_found_by_its_size(folder: Path) -> None:
    (folder / MODEL / "vocab.txt").write_text(" \na\nb\n")
    assert "was trained with 2545 tokens" in error(folder)


def test_a_checkpoint_of_ones_own_that_is_not_there_is_no_reason_to_download(folder: Path) -> None:
    told = error(folder, checkpoint=str(folder / "own.safetensors"))
    assert str(folder / "own.safetensors") in told
    assert "correct the setting `checkpoint`" in told
    assert "download" not in told


def test_the_vocoder_is_converted_once(folder: Path) -> None:
    first = spoken(engine(folder))
    converted = (folder / VOCOS).with_suffix(".safetensors")
    made = converted.stat().st_mtime_ns
    assert spoken(engine(folder)) == first
    assert converted.stat().st_mtime_ns == made
    assert not list(folder.rglob("*.part"))


def test_a_folder_that_cannot_be_written_is_read_anyway(folder: Path) -> None:
    (folder / VOCOS).with_suffix(".part").mkdir()  # in the way of what is converted, for root too
    assert spoken(engine(folder))


def test_weights_are_mapped_and_not_copied(folder: Path) -> None:
    before = resident("RssAnon")
    loaded = engine(folder)
    backbone = loaded._model._backbone
    path = str((folder / CHECKPOINT).resolve())
    addresses = mapped(path)
    assert all(
        any(start <= weight.data_ptr() < end for start, end in addresses) for weight in backbone.parameters()
    )
    assert resident("RssAnon") - before < 32 << 20


def resident(kind: str) -> int:
    with open("/proc/self/status") as status:  # noqa: PTH123 - no file
        return next(int(line.split()[1]) << 10 for line in status if line.startswith(kind))


def mapped(path: str) -> list[tuple[int, int]]:
    with open("/proc/self/maps") as maps:  # noqa: PTH123 - no file
        lines = [line.split() for line in maps if path in line]
    return [(int(start, 16), int(end, 16)) for line in lines for start, end in [line[0].split("-")]]


def as_trained(weights: dict[str, Tensor], prefix: str) -> dict[str, Any]:
    """What `torch.save` left of a training, under the prefix that some fine-tunes have."""
    averaged = {name.replace("ema_model.", prefix): tensor for name, tensor in weights.items()}
    plain = {name.removeprefix("ema_model."): torch.zeros_like(tensor) for name, tensor in weights.items()}
    return {"ema_model_state_dict": averaged, "model_state_dict": plain, "update": 7}


@pytest.mark.parametrize("prefix", ["ema_model.", "ema.", ""])
def test_a_checkpoint_from_training_speaks_with_its_averaged_weights(folder: Path, prefix: str) -> None:
    own = folder / "own"
    own.mkdir()
    torch.save(as_trained(load_file(folder / CHECKPOINT), prefix), own / "model_last.pt")
    shutil.copy(folder / MODEL / "vocab.txt", own)
    expected = spoken(engine(folder))
    assert spoken(engine(folder, checkpoint=str(own))) == expected
    assert spoken(engine(folder, checkpoint=str(own / "model_last.pt"))) == expected


def test_of_several_checkpoints_the_one_with_the_most_steps_speaks(folder: Path) -> None:
    weights = load_file(folder / CHECKPOINT)
    old = {name: torch.zeros_like(tensor) for name, tensor in weights.items()}
    before = spoken(engine(folder))
    save_file(old, folder / MODEL / "model_900000.safetensors")
    assert spoken(engine(folder)) == before
