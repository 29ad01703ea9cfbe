"""Each check, where all is well and where it is not; and that none can harm the others."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.mosquitto import Mosquitto
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer
from voicenode import gpu
from voicenode.doctor import examine, machine, network, storage
from voicenode.doctor.redis import redis
from voicenode.doctor.row import Row, State, wrong_as_said
from voicenode.errors import ErrorCode, SetupError
from voicenode.settings.loading import LoadedSettings, load
from voicenode.stores.file import FileStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Loader = Callable[..., LoadedSettings]


@pytest.fixture
def loaded(tmp_path: Path) -> Loader:
    def with_settings(**settings: Any) -> LoadedSettings:  # noqa: ANN401 (any settings)
        path = tmp_path / "voicenode.yaml"
        path.write_text(json.dumps({"data_dir": str(tmp_path / "data"), **settings}))
        return load(path, {}, {}, {"espeak": "voicenode_espeak:EspeakEngine"})

    return with_settings


def one(rows: list[Row]) -> Row:
    (row,) = rows
    assert row.advice or row.state is not State.WRONG
    return row


def test_python_and_packages_and_time_are_well_here() -> None:
    rows = [*machine.python(), *machine.libraries(), *machine.clock()]
    assert [row.state for row in rows] == [State.OK] * 3


def test_a_clock_before_the_installation_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert "1970" in one(machine.clock()).found
    assert one(machine.clock()).state is State.WRONG


def test_no_driver_is_no_fault_but_a_broken_one_is(loaded: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(error: Exception) -> None:
        def look() -> gpu.Gpus:
            raise error

        monkeypatch.setattr(gpu, "look", look)

    fail(gpu.NoNvmlError("no driver; install one"))
    assert one(machine.graphics(loaded())) == Row("GPU", State.ABSENT, "no driver", "install one")
    fail(gpu.NvmlError("updated; restart"))
    assert one(machine.graphics(loaded())) == Row("GPU", State.WRONG, "updated", "restart")


def test_a_gpu_is_told_with_its_memory_and_driver(loaded: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    card = gpu.Gpu("Card", "GPU-1", 24_000_000_000, 0, 20_000_000_000)
    monkeypatch.setattr(gpu, "look", lambda: gpu.Gpus("580.65", (13, 0), (card,)))
    row = one(machine.graphics(loaded()))
    assert row.found == "Card, 20.0 GB of 24.0 GB free, driver 580.65, CUDA 13.0"


def test_a_player_is_missed_only_by_who_set_one(loaded: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert one(machine.sound(loaded())).state is State.ABSENT
    assert one(machine.sound(loaded(jobs={"player": ["mpv", "-"]}))).state is State.WRONG
    assert one(machine.sound(loaded(jobs={"player": [sys.executable]}))).state is State.OK


def test_a_data_directory_is_there_or_can_be_made(loaded: Loader, tmp_path: Path) -> None:
    assert one(storage.data_dir(loaded())).found.endswith(", to be made")
    (tmp_path / "data").mkdir()
    assert one(storage.data_dir(loaded())) == Row("data directory", State.OK, str(tmp_path / "data"))
    assert list((tmp_path / "data").iterdir()) == []


def test_a_data_directory_that_cannot_be_written_is_wrong(loaded: Loader) -> None:
    row = one(storage.data_dir(loaded(data_dir="/proc/voicenode")))  # where not even root can
    assert row.state is State.WRONG
    assert row.found.startswith("/proc/voicenode cannot be made: ")


def test_a_full_disk_is_wrong(loaded: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    assert one(storage.disk(loaded())).state is State.OK
    usage = type(shutil.disk_usage("/"))(100, 99, 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert one(storage.disk(loaded())).state is State.WRONG


async def test_damage_in_the_store_is_told(loaded: Loader, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "store"
    async with FileStore(folder) as store:
        await store.put("voices", "one", {"name": "One"})
    assert one(await storage.store(await asyncio.to_thread(loaded))).state is State.OK
    (document,) = (path for path in (folder / "voices").rglob("*") if path.suffix == ".json")
    document.write_text("{")
    row = one(await storage.store(await asyncio.to_thread(loaded)))
    assert row.state is State.WRONG
    assert document.name in row.found


async def test_nothing_comes_into_being_where_nothing_is_kept(loaded: Loader, tmp_path: Path) -> None:
    assert one(await storage.store(await asyncio.to_thread(loaded))).state is State.OK
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("settings", "state", "found", "advice"),
    [
        ("", State.OK, "AOF, noeviction", ""),
        ("--appendonly no", State.WRONG, "no persistence", "set `appendonly yes`"),
        ("--appendonly no --save 3600 1", State.OK, "snapshots", ""),
        ("--maxmemory-policy allkeys-lru", State.OK, "allkeys-lru", ""),
        ("--maxmemory-policy allkeys-lru --maxmemory 1gb", State.WRONG, "allkeys-lru", "may drop voices"),
    ],
)
async def test_a_redis_that_may_lose_voices_is_told(
    tmp_path: Path, settings: str, state: State, found: str, advice: str
) -> None:
    with RedisServer(tmp_path / "redis", *settings.split()) as server:
        environ = {"HOME": str(tmp_path), "REDIS_URL": server.url}
        (row,) = await redis(await asyncio.to_thread(load, None, {}, environ, {}))
    assert row.state is state
    assert found in row.found
    assert row.found.startswith(f"{server.url}/0: Redis ")
    assert advice in row.advice


async def test_a_redis_that_is_not_there_is_told(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "REDIS_URL": f"redis://:hidden@127.0.0.1:{free_port()}"}
    (row,) = await redis(await asyncio.to_thread(load, None, {}, environ, {}))
    assert row.state is State.WRONG
    assert "cannot be reached" in row.found
    assert "hidden" not in repr(row)


def test_a_download_that_was_interrupted_is_told(loaded: Loader, tmp_path: Path) -> None:
    assert one(storage.models(loaded())).state is State.ABSENT
    (tmp_path / "data/models/xtts/.unfinished-xtts").mkdir(parents=True)
    row = one(storage.models(loaded()))
    assert (row.state, row.found) == (State.WRONG, "not whole: xtts")
    assert "`voicenode models download xtts`" in row.advice


async def test_a_free_port_is_well_and_stays_free(loaded: Loader) -> None:
    settings = await asyncio.to_thread(loaded, wyoming={"uri": [f"tcp://127.0.0.1:{free_port()}"]})
    assert one(await network.wyoming(settings)).state is State.OK
    assert one(await network.wyoming(settings)).state is State.OK


async def test_a_port_of_a_stranger_is_wrong(loaded: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_ANSWER_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0), backlog=1) as stranger:
        port = stranger.getsockname()[1]
        settings = await asyncio.to_thread(
            loaded,
            wyoming={"uri": [f"tcp://127.0.0.1:{port}"]},
            http={"enabled": True, "host": "127.0.0.1", "port": port},
        )
        for row in [*await network.wyoming(settings), *await network.http(settings)]:
            assert row.state is State.WRONG
            assert "address already in use" in row.found


async def test_http_is_no_matter_where_it_is_off(loaded: Loader) -> None:
    assert one(await network.http(await asyncio.to_thread(loaded))).state is State.ABSENT
    assert (
        one(await network.http(await asyncio.to_thread(loaded, http={"enabled": True, "port": 0}))).state
        is State.OK
    )


async def test_a_folder_for_a_socket_must_be_there(loaded: Loader, tmp_path: Path) -> None:
    good, bad = f"unix://{tmp_path}/s", f"unix://{tmp_path}/none/s"
    rows = await network.wyoming(await asyncio.to_thread(loaded, wyoming={"uri": [good, bad, "stdio://"]}))
    assert [row.state for row in rows] == [State.OK, State.WRONG, State.OK]


async def test_mdns_may_be_off(loaded: Loader) -> None:
    assert (
        one(await network.mdns(await asyncio.to_thread(loaded, mdns={"enabled": False}))).state
        is State.ABSENT
    )


async def test_a_broker_that_lets_the_node_in_is_well(loaded: Loader, mosquitto: Mosquitto) -> None:
    settings = await asyncio.to_thread(loaded, mqtt={"host": mosquitto.host, "port": mosquitto.port})
    row = one(await network.broker(settings))
    assert (row.state, row.found) == (State.OK, f"127.0.0.1:{mosquitto.port} lets the node in, over MQTT 5")
    assert "voicenode/doctor" not in mosquitto.log().partition("PUBLISH")[2]


async def test_a_login_that_the_broker_refuses_is_wrong(loaded: Loader, tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker", username="node", password="right") as broker:
        mqtt = {"host": broker.host, "port": broker.port, "username": "node", "password": "bad"}
        row = one(await network.broker(await asyncio.to_thread(loaded, mqtt=mqtt)))
    assert row.state is State.WRONG
    assert row.advice == "check mqtt.username and mqtt.password"
    assert "bad" not in row.found


async def test_a_broker_that_is_not_there_is_wrong(loaded: Loader) -> None:
    row = one(
        await network.broker(await asyncio.to_thread(loaded, mqtt={"host": "127.0.0.1", "port": free_port()}))
    )
    assert row.state is State.WRONG
    assert "cannot be reached" in row.found
    assert one(await network.broker(await asyncio.to_thread(loaded))).state is State.ABSENT


async def test_a_check_that_fails_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash() -> list[Row]:
        raise ZeroDivisionError("oh")

    async def refuse() -> list[Row]:
        raise SetupError(ErrorCode.CANNOT_START, "no; do that")

    async def hang() -> list[Row]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(examine, "_LIMIT", 0.2)
    rows = await examine._all({"a": crash, "b": refuse, "c": hang, "d": machine.python})
    assert [row.state for row in rows] == [State.WRONG, State.WRONG, State.WRONG, State.OK]
    assert "(ZeroDivisionError: oh)" in rows[0].found
    assert rows[1] == Row("b", State.WRONG, "no", "do that")
    assert "0.2 s" in rows[2].found


async def test_wrong_settings_are_rows_and_the_machine_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "voicenode.yaml"
    path.write_text("name: ''\nwyomin: {}\n")
    rows = await examine.examine(path, {"HOME": os.devnull})
    settings = [row for row in rows if row.check == "settings"]
    assert [row.state for row in settings] == [State.WRONG] * 2
    assert rows[0] == machine.python()[0]
    assert {row.state for row in rows if row.check in examine.OF_NODE} == {State.ABSENT}


def test_every_cross_has_an_advice() -> None:
    assert wrong_as_said("x", "bad; a; do that") == Row("x", State.WRONG, "bad; a", "do that")
    assert wrong_as_said("x", "bad").advice
