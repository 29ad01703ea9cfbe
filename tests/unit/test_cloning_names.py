"""What a voice may be called."""

import pytest

from voicenode.cloning.names import check_free, checked_name, numbered
from voicenode.errors import ConflictError, RequestError


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/x",
        "a/b",
        "..",
        "",
        " ",
        "\0",
        "a\nb",
        "x" * 300,
        "\N{GRINNING FACE}",
        "-a",
        "a\u200d",
        "a  b",
        "a.",
    ],
)
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match="name"):
        checked_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "con",
        "J\u00fcrgen",
        "\u0410\u043d\u043d\u0430",
        "O'Neill Jr",
        "R2-D2",
        "\u0928\u092e\u0938\u094d\u0924\u0947",
    ],
)
def test_every_name_that_people_have_will_do(name: str) -> None:
    assert checked_name(f" {name} ") == name


def test_a_name_is_composed() -> None:
    assert checked_name("Ju\u0308rgen") == "J\u00fcrgen"


@pytest.mark.parametrize("name", ["xtts-anna", "Butler", "EN"])
def test_the_name_of_an_engines_own_voice_is_taken(name: str) -> None:
    with pytest.raises(ConflictError):
        check_free(name, ["xtts", "f5"], ["butler", "f5-en"])


def test_any_other_name_is_free() -> None:
    check_free("Anna", ["xtts", "f5"], ["butler", "f5-en"])


def test_a_number_makes_a_name_free() -> None:
    assert numbered("Anna", ["anna", "anna-2"]) == "Anna-3"
    assert len(numbered("x" * 60, [])) == 60
