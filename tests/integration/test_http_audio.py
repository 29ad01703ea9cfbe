"""Audio files over HTTP, as players ask for them."""

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator
from email.utils import formatdate
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from tests.support.http_door import NAME, Door, serving

pytestmark = pytest.mark.usefixtures("heartbeat")

CONTENT = random.Random(7).randbytes(300_001)
SIZE = len(CONTENT)


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    audio = tmp_path / "audio"
    audio.mkdir()
    async with serving(audio) as door:
        yield door


@pytest.mark.parametrize(
    ("ending", "content_type"),
    [
        ("wav", "audio/wav"),
        ("flac", "audio/flac"),
        ("mp3", "audio/mpeg"),
        ("opus", "audio/ogg"),
        ("pcm", "audio/pcm"),
    ],
)
async def test_a_file_comes_whole_with_its_type_and_length(
    door: Door, ending: str, content_type: str
) -> None:
    answer = await door.get(door.put(CONTENT, f"{NAME}.{ending}"))
    assert (answer.status, answer.body) == (200, CONTENT)
    assert answer.headers["content-type"].split(";")[0] == content_type
    assert answer.headers["content-length"] == str(SIZE)
    assert answer.headers["accept-ranges"] == "bytes"
    assert "transfer-encoding" not in answer.headers
    assert "immutable" in answer.headers["cache-control"]


async def test_head_tells_what_get_would_and_sends_nothing(door: Door) -> None:
    path = door.put(CONTENT)
    connection = await door.connect()
    await connection.ask(path, method="HEAD")
    head = await connection.hear("HEAD")
    await connection.ask(path)
    whole = await connection.hear()  # on the same connection: the first answer had no body
    await connection.close()
    assert (head.status, whole.body) == (200, CONTENT)
    assert head.headers | {"date": ""} == whole.headers | {"date": ""}


async def test_a_common_client_plays_it(door: Door) -> None:
    url = door.url + door.put(CONTENT)
    answer = await asyncio.to_thread(httpx.get, url, headers={"Range": "bytes=0-"})
    assert (answer.status_code, answer.content) == (206, CONTENT)


async def test_an_old_client_gets_the_file_and_a_closed_connection(door: Door) -> None:
    connection = await door.connect()
    await connection.say(f"GET {door.put(CONTENT)} HTTP/1.0\r\n\r\n".encode())
    assert (await connection.hear()).body == CONTENT
    assert await connection.reader.read() == b""
    await connection.close()


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-", 0, SIZE - 1),
        ("bytes=100-199", 100, 199),
        ("bytes=131071-131072", 131_071, 131_072),
        ("bytes=200000-", 200_000, SIZE - 1),
        ("bytes=-1", SIZE - 1, SIZE - 1),
        ("bytes=-500", SIZE - 500, SIZE - 1),
        (f"bytes=-{SIZE * 2}", 0, SIZE - 1),
        (f"bytes={SIZE - 1}-{SIZE * 9}", SIZE - 1, SIZE - 1),
        ("Bytes=0-1", 0, 1),
    ],
)
async def test_a_part_is_exactly_what_was_asked_for(door: Door, asked: str, first: int, last: int) -> None:
    answer = await door.get(door.put(CONTENT), f"Range: {asked}")
    assert answer.status == 206
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{SIZE}"
    assert answer.headers["content-length"] == str(last - first + 1)
    assert answer.body == CONTENT[first : last + 1]


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", f"bytes={10**30}-", "bytes=-0", f"bytes={SIZE}-{SIZE}"])
async def test_a_part_beyond_the_end_is_refused_with_the_size(door: Door, asked: str) -> None:
    answer = await door.get(door.put(CONTENT), f"Range: {asked}")
    assert (answer.status, answer.headers["content-range"]) == (416, f"bytes */{SIZE}")
    assert json.loads(answer.body)["code"] == "bad-request"


@pytest.mark.parametrize(
    "asked",
    [
        *("bytes=5-4", "bytes=-", "bytes=a-b", "bytes=0-1,5-6", "seconds=1-2", "bytes 0-1", "bytes=--1", ""),
        *("bytes=0x1-0x2", "bytes=+1-2", "bytes=1.5-2", f"bytes={'9' * 5000}-", "bytes=\xb2-\xb3"),
    ],
)
async def test_a_range_that_means_nothing_is_ignored(door: Door, asked: str) -> None:
    answer = await door.get(door.put(CONTENT), f"Range: {asked}")
    assert (answer.status, answer.body) == (200, CONTENT)


async def test_random_parts_put_together_are_the_file(door: Door) -> None:
    path, borders = door.put(CONTENT), sorted(random.Random(1).sample(range(1, SIZE), 40))
    connection, heard = await door.connect(), b""
    for start, stop in zip([0, *borders], [*borders, SIZE], strict=True):
        await connection.ask(path, f"Range: bytes={start}-{stop - 1}")
        heard += (await connection.hear()).body
    await connection.close()
    assert heard == CONTENT


async def test_an_empty_file_is_a_file(door: Door) -> None:
    path = door.put(b"")
    assert (await door.get(path)).status == 200
    assert (await door.get(path, "Range: bytes=0-")).status == 416


async def test_a_client_that_has_the_file_is_told_so(door: Door) -> None:
    path = door.put(CONTENT)
    first = (await door.get(path)).headers
    for header in (
        f"If-None-Match: {first['etag']}",
        f'If-None-Match: "other", W/{first["etag"]}',
        f"If-Modified-Since: {first['last-modified']}",
    ):
        answer = await door.get(path, header)
        assert (answer.status, answer.body) == (304, b"")
    for header in ('If-None-Match: "other"', f"If-Modified-Since: {formatdate(0, usegmt=True)}"):
        assert (await door.get(path, header)).status == 200
    assert (await door.get(path, "If-Modified-Since: yesterday")).status == 200


async def test_a_part_is_for_those_who_have_the_same_version(door: Door) -> None:
    path = door.put(CONTENT)
    first = (await door.get(path)).headers
    for version in (first["etag"], first["last-modified"]):
        assert (await door.get(path, "Range: bytes=5-", f"If-Range: {version}")).status == 206
    door.put(CONTENT[::-1])
    answer = await door.get(path, "Range: bytes=5-", f"If-Range: {first['etag']}")
    assert (answer.status, answer.body) == (200, CONTENT[::-1])


async def test_a_web_page_of_another_origin_may_play_it(door: Door) -> None:
    path = door.put(CONTENT)
    asked = await door.get(
        path, "Origin: https://cast.example", "Access-Control-Request-Headers: range", method="OPTIONS"
    )
    assert asked.status == 204
    assert "Range" in asked.headers["access-control-allow-headers"]
    played = await door.get(path, "Origin: https://cast.example", "Range: bytes=0-1")
    assert played.headers["access-control-allow-origin"] == "*"
    assert "Content-Range" in played.headers["access-control-expose-headers"]


PRIVATE = "nobody must see this"


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "../secret.wav", "..%2fsecret.wav", "%2e%2e%2fsecret.wav", "..%5csecret.wav"),
        *("%2e%2e/secret.wav", "..%252fsecret.wav", "....//secret.wav", "//etc/passwd", "%2fetc%2fpasswd"),
        *("/etc/passwd", "..%c0%afsecret.wav", f"{NAME}.wav%00.txt", f"{NAME}.wav%0a", f"{NAME}.wav/"),
        *(f"{NAME}", f"{NAME}.txt", f"{NAME}.WAV", f".{NAME}.wav", f"{NAME}.wav.wav", f"{NAME}.json"),
        *(f"x/../{NAME}.wav", f"./{NAME}.wav", "short.wav", f"{'x' * 200}.wav", "\u00e9" * 20 + ".wav"),
        *("linklinklinklink.wav", "foldfoldfoldfold.wav", "pipepipepipepipe.wav", "loopyloopyloopyl.wav"),
    ],
)
async def test_nothing_else_can_be_had(door: Door, name: str) -> None:
    door.put(CONTENT)
    secret = door.audio_dir.parent / "secret.wav"
    secret.write_text(PRIVATE)
    (door.audio_dir / f"{NAME}.txt").write_text(PRIVATE)
    (door.audio_dir / f".{NAME}.wav").write_text(PRIVATE)
    (door.audio_dir / "short.wav").write_text(PRIVATE)
    (door.audio_dir / "linklinklinklink.wav").symlink_to(secret)
    (door.audio_dir / "loopyloopyloopyl.wav").symlink_to("loopyloopyloopyl.wav")
    (door.audio_dir / "foldfoldfoldfold.wav").mkdir()
    os.mkfifo(door.audio_dir / "pipepipepipepipe.wav")
    answer = await door.get(f"/audio/{quote(name, safe='%/.')}")
    assert answer.status == 404
    assert json.loads(answer.body)["code"] == "not-found"


async def test_what_is_removed_is_not_found_but_still_plays_to_its_end(door: Door) -> None:
    content = CONTENT * 30
    path = door.put(content)
    connection = await door.connect()
    await connection.ask(path)
    head = await connection.hear_head()
    (door.audio_dir / path.rpartition("/")[2]).unlink()
    assert (await door.get(path)).status == 404
    assert await connection.reader.readexactly(int(head.headers["content-length"])) == content
    await connection.close()


async def test_a_file_that_becomes_shorter_ends_the_connection(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    path = door.put(b"")
    os.truncate(door.audio_dir / path.rpartition("/")[2], 100 * SIZE)
    connection = await door.connect()
    await connection.ask(path)
    await connection.hear_head()
    os.truncate(door.audio_dir / path.rpartition("/")[2], 10)
    with pytest.raises(asyncio.IncompleteReadError):
        await connection.reader.readexactly(100 * SIZE)
    await connection.close()
    assert "has become shorter" in caplog.text


async def test_a_file_of_more_than_two_gigabytes_is_served(door: Door) -> None:
    size, path = (1 << 31) + 10, door.put(b"")
    with (door.audio_dir / path.rpartition("/")[2]).open("r+b") as file:
        file.truncate(size)
        file.seek(size - 5)
        file.write(b"sound")
    assert (await door.get(path, method="HEAD")).headers["content-length"] == str(size)
    answer = await door.get(path, "Range: bytes=-5")
    assert (answer.body, answer.headers["content-range"]) == (
        b"sound",
        f"bytes {size - 5}-{size - 1}/{size}",
    )


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"])
async def test_other_methods_are_refused_with_a_code(door: Door, method: str) -> None:
    answer = await door.get(door.put(CONTENT), "Content-Length: 0", method=method)
    assert (answer.status, json.loads(answer.body)["code"]) == (405, "bad-request")
    assert "GET" in answer.headers["allow"]


async def test_other_paths_are_not_found(door: Door) -> None:
    for path in ("/", "/audio", "/audio/", "/health/", "/docs", "/openapi.json", "/redoc", "//health"):
        answer = await door.get(path)
        assert (answer.status, json.loads(answer.body)["code"]) == (404, "not-found")
