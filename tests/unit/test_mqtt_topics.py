import pytest

from voicenode.errors import SetupError
from voicenode.transports.mqtt.topics import Topics, matches


@pytest.mark.parametrize(
    ("topic_filter", "topic", "matched"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/b/c", False),
        ("a/b/c", "a/b", False),
        ("a/+/c", "a/b/c", True),
        ("a/+", "a/b/c", False),
        ("+", "a", True),
        ("#", "a/b", True),
        ("a/#", "a/b/c", True),
        ("a/#", "a", True),
        ("a/#", "b", False),
        ("$share/group/a/+", "a/b", True),
    ],
)
def test_a_filter_matches_as_the_standard_says(topic_filter: str, topic: str, matched: bool) -> None:  # noqa: FBT001
    assert matches(topic_filter, topic) is matched


@pytest.mark.parametrize("base", ["", "a/#", "a+", "/a", "a/", "a\0"])
def test_a_base_that_is_no_topic_is_a_wrong_setting(base: str) -> None:
    with pytest.raises(SetupError, match="base_topic"):
        Topics(base, "n1")


def test_topics_stand_below_base_and_node() -> None:
    topics = Topics("house/voices", "n1")
    assert topics.request("load") == "house/voices/n1/request/load"
    assert topics.response("load") == "house/voices/n1/response/load"
    assert topics.audio("t") == "house/voices/n1/audio/t"
    assert topics.shared_filter == "$share/voicenode/house/voices/request/synthesize"
