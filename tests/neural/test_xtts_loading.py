import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytest.importorskip("TTS")

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tests.support import xtts_checkpoint
from voicenode.engine import EngineError, ErrorCode, PcmFormat
from voicenode_xtts import XttsEngine, XttsOptions

pytestmark = pytest.mark.neural


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return xtts_checkpoint.write(tmp_path_factory.mktemp("xtts"))


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    """A copy to be broken."""
    return Path(shutil.copytree(published, tmp_path / "model"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    return tmp_path / "cache"


def load(folder: Path, **options: str) -> XttsEngine:
    engine = XttsEngine(XttsOptions(path=str(folder), **({"device": "cpu"} | options)))  # type: ignore[arg-type]
    assert engine.load() == PcmFormat(24000)
    return engine


def refused(folder: Path, **options: str) -> str:
    with pytest.raises(EngineError) as caught:
        load(folder, **options)
    assert caught.value.code == ErrorCode.ENGINE_UNAVAILABLE
    return str(caught.value)


def test_the_published_layout_is_converted_once_and_then_mapped(folder: Path) -> None:
    load(folder)
    converted = folder / "model.safetensors"
    made = converted.stat().st_mtime_ns
    load(folder)
    assert converted.stat().st_mtime_ns == made
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "model.pth", "model.safetensors", "model-int8.safetensors",
        "speakers_xtts.pth", "speakers_xtts.safetensors", "vocab.json",
    }  # fmt: skip


def test_a_checkpoint_that_changed_is_converted_again(folder: Path) -> None:
    before = load(folder)._narrator._model.gpt.mel_head.weight.clone()
    xtts_checkpoint.write(folder, seed=1)
    after = load(folder)._narrator._model.gpt.mel_head.weight
    assert not torch.equal(before, after)


def test_what_was_converted_is_enough(folder: Path) -> None:
    load(folder)
    for name in ("model.pth", "speakers_xtts.pth"):
        (folder / name).unlink()
    assert len(load(folder).voices()) == 3


@pytest.mark.parametrize(("precision", "file_name"), [("exact", "model"), ("fast", "model-int8")])
def test_weights_are_neither_copied_nor_initialised(folder: Path, precision: str, file_name: str) -> None:
    gpt = load(folder, precision=precision)._narrator._model.gpt
    with safe_open(folder / f"{file_name}.safetensors", "pt") as file:
        mapped = file.get_tensor("gpt.gpt.h.0.attn.c_attn.weight")
    assert torch.equal(gpt.state_dict()["gpt.h.0.attn.c_attn.weight"], mapped)
    maps = Path("/proc/self/maps").read_text().splitlines()
    ranges = [line.split()[0].split("-") for line in maps if line.endswith(f"{file_name}.safetensors")]
    places = [tensor.data_ptr() for tensor in gpt.state_dict().values()]
    assert all(any(int(a, 16) <= place < int(b, 16) for a, b in ranges) for place in places)


@pytest.mark.parametrize("training", [False, True])
def test_the_names_of_all_versions_of_the_checkpoint_are_understood(folder: Path, training: bool) -> None:  # noqa: FBT001
    """Weight norm has been kept under two names, and a training run prefixes all of them."""
    reference = _first_upsampling(load(folder)).clone()
    state = _state(folder)
    renamed = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): tensor
        for name, tensor in state.items()
    }
    if training:
        renamed = {f"xtts.{name}": tensor for name, tensor in renamed.items()}
        renamed |= {"dvae.codebook": torch.zeros(3), "torch_mel_spectrogram_dvae.mel": torch.zeros(3)}
        torch.save({"config": {}, "model": renamed, "step": 5}, folder / "model.pth")
    else:
        xtts_checkpoint.save_model(folder / "model.pth", renamed)
    assert torch.equal(_first_upsampling(load(folder)), reference)


def _first_upsampling(engine: XttsEngine) -> torch.Tensor:
    weight: torch.Tensor = engine._narrator._model.hifigan.levels[0].up.weight.to_dense()
    return weight


def _state(folder: Path) -> dict[str, torch.Tensor]:
    made = xtts_checkpoint.upstream(folder).state_dict().items()
    return {name: tensor for name, tensor in made if not name.startswith(("gpt.gpt_inf", "gpt.gpt.wte"))}


def test_a_folder_that_is_read_only_is_converted_into_the_cache(
    folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everywhere
    load(folder)
    load(folder)
    assert {path.name for path in own_cache.rglob("*.*")} == {
        "model.safetensors",
        "model-int8.safetensors",
        "speakers_xtts.safetensors",
    }
    assert not list(folder.glob("*.safetensors"))


@pytest.mark.parametrize("name", ["model.pth", "config.json", "vocab.json"])
def test_a_missing_file_is_named_with_what_to_do(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(EngineError, match=f"{name} is missing.*voicenode models download xtts"):
        XttsEngine(XttsOptions(path=str(folder))).voices()
    assert name in refused(folder)


def test_no_model_at_all_is_told_with_the_command_that_downloads_it(tmp_path: Path) -> None:
    assert "voicenode models download xtts" in refused(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["model.pth", "speakers_xtts.pth"])
def test_a_truncated_checkpoint_is_named(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    message = refused(folder)
    assert name in message
    assert "truncated" in message
    assert not list(folder.glob(f"{path.stem}.safetensors*"))


def test_a_truncated_conversion_is_made_again_or_named(folder: Path, own_cache: Path) -> None:
    load(folder)
    path = folder / "model.safetensors"
    os.truncate(path, path.stat().st_size - 100)
    load(folder)
    for made in (path, *own_cache.rglob("model.safetensors")):
        os.truncate(made, 1000)
    (folder / "model.pth").unlink()
    assert "model.safetensors is damaged" in refused(folder)


def test_a_file_of_somebody_else_is_never_overwritten(folder: Path, own_cache: Path) -> None:
    theirs = folder / "model.safetensors"
    save_file({"weight": torch.zeros(3)}, theirs)
    content = theirs.read_bytes()
    load(folder)
    assert theirs.read_bytes() == content
    assert list(own_cache.rglob("model.safetensors"))


def test_a_checkpoint_that_would_run_code_is_refused(folder: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return exec, (f"open({str(tmp_path / 'trapped')!r}, 'w')",)

    torch.save({"model": {}, "config": Trap()}, folder / "model.pth")
    assert "model.pth" in refused(folder)
    assert not (tmp_path / "trapped").exists()


def test_something_else_is_not_taken_for_a_checkpoint(folder: Path) -> None:
    torch.save([1, 2, 3], folder / "model.pth")
    message = refused(folder)
    assert "model.pth is not the checkpoint it should be" in message
    assert "voicenode models download xtts" in message
    torch.save({"encoder.weight": torch.zeros(3)}, folder / "model.pth")
    message = refused(folder)
    assert "gpt.text_embedding.weight is missing and should be" in message
    assert "model.pth" in message


def test_weights_of_another_architecture_are_told_by_what_differs(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["model_args"]["gpt_n_model_channels"] = 128
    (folder / "config.json").write_text(json.dumps(config))
    message = refused(folder)
    assert "model.pth has not the weights that config.json and vocab.json beside it describe" in message
    assert "64) and should be" in message
    assert "copy your own there again" in message
    assert len(message) < 700


@pytest.mark.parametrize(
    "content", ["", "[]", '{"model": "vits"}', '{"model": "xtts", "model_args": {"gpt_layers": 3}}']
)
def test_a_configuration_of_something_else_is_named(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    assert "config.json" in refused(folder)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_told_and_auto_does_without(folder: Path) -> None:
    message = refused(folder, device="cuda:1")
    assert "device cuda:1 cannot be used" in message
    assert "device: cpu" in message
    assert load(folder, device="auto")._narrator._model.device.type == "cpu"


def test_a_driver_that_is_too_old_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 11040).")

    monkeypatch.setattr(torch.cuda, "init", refuse)
    message = refused(folder, device="cuda:0")
    assert "device cuda:0 cannot be used: The NVIDIA driver on your system is too old" in message
    assert "mend the GPU's driver" in message


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "CPU"])
def test_a_device_that_does_not_exist_is_refused_by_the_settings(device: str) -> None:
    with pytest.raises(ValueError, match="expected auto, cpu, cuda or cuda:N"):
        XttsOptions(device=device)


@pytest.mark.parametrize(
    ("module", "broken", "message"),
    [
        ("torch", None, "XTTS v2 is not installed here (no torch); run `pip install 'voicenode[xtts]'`"),
        ("torchaudio", "raise OSError('libc10_cuda.so: no such file')", "OSError: libc10_cuda.so"),
        (
            "torchaudio",
            "raise RuntimeError('different CUDA versions')",
            "torch and torchaudio must be of one",
        ),
    ],
)
def test_libraries_that_are_missing_or_do_not_fit_are_told(
    tmp_path: Path, module: str, broken: str | None, message: str
) -> None:
    """In a process of its own, where a broken library stands before the real one, or that is hidden."""
    if broken is not None:
        (tmp_path / f"{module}.py").write_text(broken)
    script = f"""
        import sys
        from importlib.machinery import PathFinder
        hidden = {module if broken is None else ""!r}
        find = PathFinder.find_spec
        PathFinder.find_spec = lambda name, *more: None if name == hidden else find(name, *more)
        from voicenode.errors import EngineError
        from voicenode_xtts import XttsEngine, XttsOptions
        try:
            XttsEngine(XttsOptions()).load()
        except EngineError as error:
            print(error.code, error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("engine-unavailable")
    assert message in done.stdout


def test_voices_are_listed_before_and_after_the_conversion_without_torch(folder: Path) -> None:
    script = f"""
        import sys
        from voicenode_xtts import XttsEngine, XttsOptions
        print(*(voice.id for voice in XttsEngine(XttsOptions(path={str(folder)!r})).voices()))
        assert not sys.modules.keys() & {{"torch", "numpy", "TTS"}}
    """
    names = ["camilla-holmstrom", "claribel-dervla", "eugenio-mataraci"]
    for converted in (False, True):
        if converted:
            load(folder)
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)], check=True, capture_output=True, text=True
        )
        assert done.stdout.split() == names


def test_a_folder_of_recordings_that_is_not_there_is_told(folder: Path) -> None:
    engine = XttsEngine(XttsOptions(path=str(folder), voices_dir=str(folder / "none")))
    with pytest.raises(EngineError, match=r"voices_dir .* is no folder"):
        engine.voices()
