"""What every test may use, and the guards that hold every test to leaving nothing behind."""

import inspect
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

from tests.support import leaks, tone
from tests.support.heartbeat import STOPPED, Heartbeat
from tests.support.mosquitto import Mosquitto
from tests.support.redis_server import RedisServer


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("voicenode")
    group.addoption("--long", action="store_true", help="run each endurance case whole, not a tenth of it")
    group.addoption("--no-neural", action="store_true", help="leave out the tests that need torch")


def pytest_configure() -> None:
    """A shell has its background ignore a Ctrl-C, which the programs under test would inherit."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """What is in `tests/neural` imports torch, and cannot even be collected without it."""
    neural = collection_path == Path(__file__).with_name("neural")
    return True if neural and config.getoption("--no-neural") else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Where `-n` shares the tests among processes."""
    from tests.support.lanes import Lanes  # noqa: PLC0415 - xdist is there when it asks

    return Lanes(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--no-neural"):
        neural = [item for item in items if item.get_closest_marker("neural")]
        config.hook.pytest_deselected(items=neural)
        items[:] = [item for item in items if item not in neural]
    for item in items:
        if "heartbeat" in getattr(item, "fixturenames", ()) and not config.option.usepdb:
            item.add_marker(pytest.mark.flaky(reruns=1, only_rerun=STOPPED))


@pytest.fixture(scope="session")
def endurance(pytestconfig: pytest.Config) -> Callable[[int], int]:
    """Turns the whole number of an endurance case into the one for this run: a tenth without `--long`."""
    divisor = 1 if pytestconfig.getoption("--long") else 10
    return lambda whole: max(1, whole // divisor)


@pytest.fixture(scope="session", autouse=True)
def no_blocking_calls() -> Iterator[BlockBuster]:
    """A blocking call that code of voicenode makes on an event loop raises `BlockingError`.

    Only calls with a frame of `voicenode` in their stack count, so tests and their helpers may block.
    """
    with blockbuster_ctx(scanned_modules=["voicenode"]) as blockbuster:
        os.supports_follow_symlinks.update(
            {os.stat, os.access, os.link}
        )  # shutil looks for what now stands there
        yield blockbuster


@pytest.fixture(autouse=True)
def leaves_nothing_behind(request: pytest.FixtureRequest, leaves_no_resource: None) -> None:  # noqa: ARG001 (order)
    """No task, thread, child process or file descriptor outlives the test that started it."""
    if inspect.iscoroutinefunction(getattr(request.node, "obj", None)):
        request.getfixturevalue("leaves_no_task")


@pytest.fixture
def leaves_no_resource() -> Iterator[None]:
    """Set up before the event loop and checked after it closed: its threads and sockets are gone by then."""
    before = leaks.Resources.now()
    yield
    leaks.check(before)


@pytest.fixture
async def leaves_no_task() -> AsyncIterator[None]:
    before = leaks.tasks()
    yield
    leaks.check_tasks(before)


@pytest.fixture
async def heartbeat() -> AsyncIterator[Heartbeat]:
    """Fails a test whose event loop computed for more than 50 ms without a turn.

    For a whole module: `pytestmark = pytest.mark.usefixtures("heartbeat")`.
    """
    async with Heartbeat() as heartbeat:
        yield heartbeat
    heartbeat.check()


@pytest.fixture
def tone_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes that a test starts find the tone engine."""
    monkeypatch.setenv("PYTHONPATH", tone.python_path())


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker of the test's own, already running; `Mosquitto` says what else can be had."""
    with Mosquitto(tmp_path / "mosquitto") as broker:
        yield broker


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis for all tests, each of which takes a prefix of its own and leaves the server alone."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["file", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path, redis_server: RedisServer) -> str:
    """A store of the test's own, for `open_store`: the test is run with each kind."""
    if request.param == "file":
        return f"file:{tmp_path / 'shared'}"
    return f"{redis_server.url}?prefix={tmp_path.name}&cache={tmp_path / 'cache'}"
