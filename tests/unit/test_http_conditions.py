"""Which part of a file a request wants, as RFC 9110 says; what a player gets is tested with sockets."""

from email.utils import formatdate

import pytest

from voicenode.transports.http.conditions import UnsatisfiableRangeError, Version, is_known, wanted_part

NOW = 1_700_000_000
VERSION = Version('"abc"', NOW)


@pytest.mark.parametrize(
    ("asked", "size", "part"),
    [
        ("bytes=0-", 10, range(10)),
        ("bytes=9-", 10, range(9, 10)),
        ("bytes=2-4", 10, range(2, 5)),
        ("bytes=2-400", 10, range(2, 10)),
        ("bytes=-3", 10, range(7, 10)),
        ("bytes=-30", 10, range(10)),
        (f"bytes={1 << 40}-", 1 << 41, range(1 << 40, 1 << 41)),
        ("bytes=4-2", 10, None),
        ("bytes=40-20", 10, None),
        ("bytes=-", 10, None),
        ("bytes=1-2,4-5", 10, None),
        ("items=1-2", 10, None),
        ("bytes=\u0661-\u0662", 10, None),
        ("bytes=1-2\n", 10, None),
    ],
)
def test_the_part(asked: str, size: int, part: range | None) -> None:
    assert wanted_part({"range": asked}, VERSION, size) == part


@pytest.mark.parametrize(
    ("asked", "size"), [("bytes=10-", 10), ("bytes=-0", 10), ("bytes=0-", 0), ("bytes=-1", 0)]
)
def test_no_part(asked: str, size: int) -> None:
    with pytest.raises(UnsatisfiableRangeError):
        wanted_part({"range": asked}, VERSION, size)


@pytest.mark.parametrize(
    ("if_range", "holds"),
    [
        ('"abc"', True),
        (formatdate(NOW, usegmt=True), True),
        ('W/"abc"', False),
        ('"abd"', False),
        (formatdate(NOW + 1, usegmt=True), False),
        ("", False),
    ],
)
def test_a_part_of_another_version_is_no_use(if_range: str, holds: bool) -> None:  # noqa: FBT001
    headers = {"range": "bytes=1-", "if-range": if_range}
    assert (wanted_part(headers, VERSION, 10) is not None) is holds


@pytest.mark.parametrize(
    ("headers", "known"),
    [
        ({}, False),
        ({"if-none-match": '"abc"'}, True),
        ({"if-none-match": 'W/"abc"'}, True),
        ({"if-none-match": '"x", "abc"'}, True),
        ({"if-none-match": "*"}, True),
        ({"if-none-match": '"x"'}, False),
        ({"if-modified-since": formatdate(NOW, usegmt=True)}, True),
        ({"if-modified-since": formatdate(NOW + 9, usegmt=True)}, True),
        ({"if-modified-since": formatdate(NOW - 1, usegmt=True)}, False),
        ({"if-modified-since": "never"}, False),
        ({"if-modified-since": "Sun, 99 Nov 99999 99:99:99 GMT"}, False),
        ({"if-modified-since": formatdate(NOW, usegmt=True), "if-none-match": '"x"'}, False),
    ],
)
def test_whether_the_client_has_it_already(headers: dict[str, str], known: bool) -> None:  # noqa: FBT001
    assert is_known(headers, VERSION) is known
