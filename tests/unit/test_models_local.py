"""Models on the disk: what counts as there, what is damaged, and what goes with what."""

from __future__ import annotations

import hashlib
import multiprocessing
import re
from typing import TYPE_CHECKING

import pytest

from voicenode.errors import ErrorCode, SetupError
from voicenode.models import MODELS, LocalModel, checksum, licences, manifest
from voicenode.parts import whisper_model
from voicenode.settings import Settings
from voicenode.settings.model import CloningSettings
from voicenode_f5.files import find
from voicenode_xtts.files import ModelFolder

if TYPE_CHECKING:
    from pathlib import Path

    from voicenode.models.catalogue import ModelName


def install(data_dir: Path, name: ModelName) -> LocalModel:
    """A model as a download leaves it."""
    local = LocalModel.of(MODELS[name], data_dir)
    for file in local.model.files:
        path = local.path(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.path)
        local.record(file, checksum.sha256(path))
    return local


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_every_revision_is_a_commit() -> None:
    revisions = {file.revision for model in MODELS.values() for file in model.files}
    assert [revision for revision in revisions if not re.fullmatch("[0-9a-f]{40}", revision)] == []


@pytest.mark.parametrize("name", ["f5", "f5-base", "e2"])
def test_the_f5_engine_finds_every_file_where_a_download_puts_it(tmp_path: Path, name: ModelName) -> None:
    local = install(tmp_path, name)
    found = find(local.root, local.model.options["model"], None)
    assert {found.checkpoint, found.vocabulary, found.vocoder / "pytorch_model.bin"} <= {
        local.path(file) for file in local.model.files
    }


def test_the_xtts_engine_finds_every_file_where_a_download_puts_it(tmp_path: Path) -> None:
    folder = ModelFolder(install(tmp_path, "xtts").root)
    folder.check()
    assert folder.source("speakers_xtts").is_file()


def test_models_lie_in_the_folder_that_their_engine_looks_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert LocalModel.of(MODELS["xtts"], tmp_path / "voicenode").root == ModelFolder.of(None).root


@pytest.mark.parametrize("chosen", ["small", "/srv/whisper", None])
def test_faster_whisper_looks_where_its_model_is_put(tmp_path: Path, chosen: str | None) -> None:
    settings = Settings(data_dir=tmp_path, cloning=CloningSettings(whisper=chosen))
    found = LocalModel.of(MODELS["whisper"], tmp_path).root
    assert whisper_model(settings) == (str(found) if chosen == "small" else chosen)


def test_a_model_is_there_when_each_of_its_files_has_its_size(tmp_path: Path) -> None:
    local = LocalModel.of(MODELS["xtts"], tmp_path)
    assert local.state() == "no"
    install(tmp_path, "xtts")
    assert local.state() == "yes"
    local.path(local.model.files[0]).write_text("shorter")
    assert local.state() == "partly"


def test_files_that_no_manifest_knows_are_no_model(tmp_path: Path) -> None:
    local = install(tmp_path, "xtts")
    (local.root / manifest.NAME).unlink()
    assert local.state() == "partly"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"files": 3}', b'{"files": {"a": {"no": 1}}}', b"\xff"]
)
def test_a_damaged_manifest_is_as_none(tmp_path: Path, content: bytes) -> None:
    local = install(tmp_path, "xtts")
    (local.root / manifest.NAME).write_bytes(content)
    assert local.damaged() == [file.path for file in local.model.files]


def test_a_model_of_another_revision_is_not_this_one(tmp_path: Path) -> None:
    local = install(tmp_path, "xtts")
    path = local.root / manifest.NAME
    path.write_text(path.read_text().replace(local.model.revision, "0" * 40))
    assert local.state() == "partly"


def test_one_changed_bit_is_noticed(tmp_path: Path) -> None:
    local = install(tmp_path, "f5")
    assert local.damaged() == []
    path = local.root / "vocos-mel-24khz" / "pytorch_model.bin"
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    assert local.state() == "yes"
    assert local.damaged() == ["vocos-mel-24khz/pytorch_model.bin"]


def test_the_size_counts_what_was_converted_and_what_is_unfinished(tmp_path: Path) -> None:
    local = install(tmp_path, "xtts")
    size = local.size()
    (local.root / "model.safetensors").write_bytes(bytes(1000))
    local.unfinished.mkdir()
    (local.unfinished / "part").write_bytes(bytes(200))
    assert local.size() == size + 1200


def test_a_model_is_converted_when_all_of_its_pickles_are(tmp_path: Path) -> None:
    local = install(tmp_path, "xtts")
    (local.root / "model.safetensors").touch()
    assert not local.is_converted()
    (local.root / "speakers_xtts.safetensors").touch()
    assert local.is_converted()


def test_nothing_is_made_of_what_faster_whisper_reads(tmp_path: Path) -> None:
    local = install(tmp_path, "whisper")
    assert local.is_converted()
    assert {*local.model.paths()} == {"config.json", "tokenizer.json", "vocabulary.txt", "model.bin"}


def test_removing_takes_all_that_was_downloaded_and_made_of_it(tmp_path: Path) -> None:
    local = install(tmp_path, "xtts")
    (local.root / "speakers_xtts.safetensors").touch()
    local.unfinished.mkdir()
    local.remove()
    assert not local.root.exists()
    local.remove()


def test_removing_leaves_what_the_user_put_there(tmp_path: Path) -> None:
    local = install(tmp_path, "f5")
    own = local.root / "F5TTS_v1_Base" / "model_of_my_own.safetensors"
    own.touch()
    local.remove()
    assert names(local.root) == {"F5TTS_v1_Base/model_of_my_own.safetensors"}


def test_removing_one_of_two_models_leaves_what_they_share(tmp_path: Path) -> None:
    f5, e2 = install(tmp_path, "f5"), install(tmp_path, "e2")
    f5.remove()
    assert (f5.state(), e2.state(), e2.damaged()) == ("no", "yes", [])
    e2.remove()
    assert not e2.root.exists()


def _hold(data_dir: Path, ready: multiprocessing.synchronize.Event) -> None:  # pragma: no cover (a child)
    with LocalModel.of(MODELS["xtts"], data_dir).alone():
        ready.set()
        multiprocessing.Event().wait()


def test_only_one_command_works_on_a_folder_and_a_dead_one_does_not_count(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    child = context.Process(target=_hold, args=(tmp_path, ready))
    child.start()
    try:
        assert ready.wait(30)
        local = LocalModel.of(MODELS["xtts"], tmp_path)
        with pytest.raises(SetupError, match="another command is at work") as caught, local.alone():
            pass
        assert caught.value.code is ErrorCode.BUSY
    finally:
        child.kill()
        child.join()
        child.close()
    with local.alone():
        pass


def test_a_licence_is_accepted_once_and_each_for_itself(tmp_path: Path) -> None:
    cpml, creative = MODELS["xtts"].licence, MODELS["f5"].licence
    folder = tmp_path / "data"
    assert not licences.is_accepted(folder, cpml)
    licences.accept(folder, cpml)
    assert licences.is_accepted(folder, cpml)
    assert not licences.is_accepted(folder, creative)
    licences.accept(folder, creative)
    assert licences.is_accepted(folder, cpml)


def test_a_licence_that_asks_for_nothing_is_not_to_be_accepted(tmp_path: Path) -> None:
    assert licences.is_accepted(tmp_path, MODELS["whisper"].licence)


@pytest.mark.parametrize("content", [b"[]", b"{", b"\xff"])
def test_a_damaged_list_of_licences_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "licences.json").write_bytes(content)
    assert not licences.is_accepted(tmp_path, MODELS["xtts"].licence)
    licences.accept(tmp_path, MODELS["xtts"].licence)
    assert licences.is_accepted(tmp_path, MODELS["xtts"].licence)


def test_checksums_are_those_of_the_hub(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"what is up, doc?")  # the example of the book Pro Git
    digest = hashlib.sha256(b"what is up, doc?").hexdigest()
    assert checksum.verify(path, "bd9dbf5aae1a3862dd1526723246b20206e5fc37") == digest
    assert checksum.verify(path, digest) == digest
    assert checksum.verify(path, "0" * 40) is checksum.verify(path, "0" * 64) is None
