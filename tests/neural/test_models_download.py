"""Downloads from a hub imitated on loopback: whole files or none, and nothing twice."""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("huggingface_hub")

import huggingface_hub
from huggingface_hub import constants

from tests.support.hub import Hub
from voicenode.models import MODELS, LocalModel, manifest
from voicenode.models.download import download
from voicenode.models.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.neural

XTTS = MODELS["xtts"]
CONTENTS = {
    file.path: random.Random(file.path).randbytes(300_000 if file.path == "model.pth" else 1000)
    for file in XTTS.files
}
WEIGHTS = next(
    f"/{file.repository}/resolve/{file.revision}/{file.source}"
    for file in XTTS.files
    if file.path == "model.pth"
)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub() as hub:
        hub.publish(XTTS, CONTENTS)
        use(hub.url, monkeypatch)
        yield hub
    huggingface_hub.close_session()


def use(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What HF_ENDPOINT would do; the library reads it when it is imported, which may have been long ago."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def local(tmp_path: Path) -> LocalModel:
    return LocalModel.of(XTTS, tmp_path)


@contextmanager
def unseen(path: str, size: int) -> Iterator[Callable[[int], None]]:
    del path, size
    yield lambda _: None


def get(local: LocalModel, *, offline: bool = False) -> None:
    download(local, unseen, offline=offline)


def assert_whole(local: LocalModel) -> None:
    assert local.state() == "yes"
    assert {path.name for path in local.root.iterdir()} == {*CONTENTS, manifest.NAME}
    assert {path: (local.root / path).read_bytes() for path in CONTENTS} == CONTENTS


def test_a_model_is_downloaded_whole(hub: Hub, local: LocalModel) -> None:
    get(local)
    assert_whole(local)
    assert len(hub.downloads) == len(CONTENTS)


def test_a_model_that_is_there_costs_no_request(hub: Hub, local: LocalModel) -> None:
    get(local)
    hub.requests.clear()
    get(local)
    get(local, offline=True)
    assert hub.requests == []


def test_offline_what_is_missing_is_named_and_nothing_is_requested(hub: Hub, local: LocalModel) -> None:
    get(local)
    (local.root / "model.pth").unlink()
    hub.requests.clear()
    with pytest.raises(ModelError, match=r"^model\.pth of xtts: not in .*--offline"):
        get(local, offline=True)
    assert hub.requests == []


def test_a_connection_that_breaks_goes_on_where_it_stopped(hub: Hub, local: LocalModel) -> None:
    hub.cuts = [400, 0, 1000, 100_000, 50_000]
    get(local)
    assert_whole(local)
    ranges = [(request.path.rpartition("/")[2], request.range) for request in hub.downloads]
    assert ranges[:6] == [
        ("speakers_xtts.pth", "bytes=0-"),
        ("speakers_xtts.pth", "bytes=400-"),
        ("speakers_xtts.pth", "bytes=400-"),
        ("model.pth", "bytes=0-"),
        ("model.pth", "bytes=100000-"),
        ("model.pth", "bytes=150000-"),
    ]


def test_a_download_that_failed_is_taken_up_by_the_next(hub: Hub, local: LocalModel) -> None:
    def withdraw(there: int) -> None:
        if there == 100_000:
            del hub.files[WEIGHTS]

    @contextmanager
    def progress(path: str, size: int) -> Iterator[Callable[[int], None]]:
        assert size == len(CONTENTS[path])
        yield withdraw

    hub.cuts = [1000, 100_000]
    with pytest.raises(ModelError, match=r"model\.pth cannot be downloaded \(HTTP 404\)"):
        download(local, progress)
    assert not (local.root / "model.pth").exists()
    hub.publish(XTTS, CONTENTS)
    hub.requests.clear()
    get(local)
    assert_whole(local)
    assert [request.range for request in hub.downloads] == ["bytes=100000-"]


def test_a_server_that_cannot_go_on_in_the_middle_begins_anew(hub: Hub, local: LocalModel) -> None:
    hub.ranges = False
    hub.cuts = [1000, 100_000]
    get(local)
    assert_whole(local)


def test_a_server_that_is_busy_is_asked_again(hub: Hub, local: LocalModel) -> None:
    hub.refusals = [503]
    get(local)
    assert_whole(local)


def test_a_server_that_refuses_is_not_asked_again(hub: Hub, local: LocalModel) -> None:
    hub.refusals = [403]
    with pytest.raises(ModelError, match=r"HTTP 403.*HF_ENDPOINT.*goes on where it stopped"):
        get(local)
    assert hub.refusals == []
    assert local.state() == "partly"


def test_what_came_damaged_is_not_taken(hub: Hub, local: LocalModel) -> None:
    hub.damaged = {WEIGHTS}
    with pytest.raises(ModelError, match=r"model\.pth came damaged from .*; run the command again"):
        get(local)
    assert not (local.root / "model.pth").exists()
    hub.damaged = set()
    get(local)
    assert_whole(local)


def test_only_a_damaged_file_is_brought_again(hub: Hub, local: LocalModel) -> None:
    get(local)
    (local.root / "model.pth").write_bytes(bytes(len(CONTENTS["model.pth"])))
    hub.requests.clear()
    get(local)
    assert_whole(local)
    assert {request.path.rpartition("/")[2] for request in hub.requests} == {"model.pth"}


def test_files_that_were_copied_there_are_taken_if_they_are_the_right_ones(
    hub: Hub, local: LocalModel
) -> None:
    local.root.mkdir(parents=True)
    for path, content in CONTENTS.items():
        (local.root / path).write_bytes(content)
    (local.root / "config.json").write_bytes(bytes(1000))
    get(local)
    assert_whole(local)
    assert [request.path.rpartition("/")[2] for request in hub.downloads] == ["config.json"]


def test_a_new_revision_brings_only_what_has_changed(hub: Hub, local: LocalModel) -> None:
    get(local)
    entries = manifest.read(local.root)
    manifest.write(
        local.root,
        {
            path: manifest.Entry(entry.size, entry.sha256, entry.repository, "0" * 40)
            for path, entry in entries.items()
        },
    )
    hub.requests.clear()
    hub.publish(XTTS, CONTENTS | {"vocab.json": b"{}"})
    get(local)
    assert (local.root / "vocab.json").read_bytes() == b"{}"
    assert [request.path.rpartition("/")[2] for request in hub.downloads] == ["vocab.json"]
    assert local.state() == "yes"


def test_what_does_not_fit_on_the_disk_is_not_begun(hub: Hub, local: LocalModel) -> None:
    hub.sizes[WEIGHTS] = 10**18
    with pytest.raises(
        ModelError, match=r"^xtts needs 2[.0-9]* EB in .*, where .* are free; free some space"
    ):
        get(local)
    assert hub.downloads == []
    assert local.state() == "no"


def test_a_hub_without_checksums_is_not_trusted(hub: Hub, local: LocalModel) -> None:
    hub.checksums = False
    with pytest.raises(ModelError, match="without size or checksum; set HF_ENDPOINT"):
        get(local)


def test_a_hub_that_is_not_there_is_named(local: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    use("http://127.0.0.1:1", monkeypatch)
    with pytest.raises(
        ModelError, match=r"http://127\.0\.0\.1:1/coqui/.* cannot be downloaded \(ConnectError"
    ):
        get(local)
    huggingface_hub.close_session()


def test_the_token_of_the_hub_goes_nowhere_else(hub: Hub, local: LocalModel) -> None:
    get(local)
    for request in hub.requests:
        stored = request.path.startswith("/storage/")
        assert request.authorization == (None if stored else "Bearer hf_secret"), request
