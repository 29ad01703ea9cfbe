"""What the suites of all stores share."""

from pathlib import Path

import pytest

from tests.support.redis_server import RedisServer


@pytest.fixture(params=["file", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path, redis_server: RedisServer) -> str:
    """A store of the test's own, for `open_store`."""
    if request.param == "file":
        return f"file:{tmp_path / 'store'}"
    return f"{redis_server.url}?prefix={tmp_path.name}&cache={tmp_path / 'cache'}"
