"""What the URL of a Redis may say, and what people get to see of it."""

from pathlib import Path

import pytest

from voicenode.errors import SetupError
from voicenode.settings import load
from voicenode.stores.redis_address import RedisAddress


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://nas", RedisAddress("nas")),
        ("redis://nas:6380/4?prefix=home", RedisAddress("nas", 6380, db=4, prefix="home")),
        ("redis://:p%40ss@[fd00::1]", RedisAddress("fd00::1", password="p@ss")),
        ("redis://anna:pw@nas?db=2", RedisAddress("nas", username="anna", password="pw", db=2)),
        ("rediss://nas?ca=/etc/ca.pem", RedisAddress("nas", tls=True, ca="/etc/ca.pem")),
        ("unix:///run/redis.sock?db=1", RedisAddress(path="/run/redis.sock", db=1)),
        ("unix://anna:pw@/run/r.sock", RedisAddress(path="/run/r.sock", username="anna", password="pw")),
    ],
)
def test_a_url_says_where_redis_is(url: str, address: RedisAddress) -> None:
    assert RedisAddress.parse(url) == address


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://nas", "redis://nas:6379/0"),
        ("rediss://anna:hidden@[fd00::1]:1/4", "rediss://anna:***@[fd00::1]:1/4"),
        ("redis://:hidden@nas", "redis://:***@nas:6379/0"),
        ("unix://anna:hidden@/run/r.sock?prefix=a%20b", "unix://anna:***@/run/r.sock?db=0&prefix=a%20b"),
    ],
)
def test_its_password_is_never_shown(url: str, shown: str) -> None:
    assert str(RedisAddress.parse(url)) == shown
    assert "hidden" not in repr(RedisAddress.parse(url))


@pytest.mark.parametrize(
    "url",
    [
        "", "nas", "http://nas", "redis://", "redis:///4", "redis://nas/four", "redis://nas:99999",
        "redis://nas/0?ssl=true", "redis://nas?ca=/x", "unix://host/x", "unix:///", "redis://nas/-1",
        "redis://nas/0?db", "redis://na s\n", "redis://nas/0#x", "redis://[nas",
    ],
)  # fmt: skip
def test_a_wrong_url_is_refused_without_showing_it(tmp_path: Path, url: str) -> None:
    with pytest.raises(ValueError, match=r"^(?!.*hidden)"):
        RedisAddress.parse(url)
    if url:
        secret = url.replace("nas", ":hidden@nas")
        with pytest.raises(SetupError, match=r"store\.url: expected redis://HOST, rediss://HOST") as caught:
            load(None, {"store.url": secret}, {"HOME": str(tmp_path)}, {})
        assert "hidden" not in str(caught.value)
