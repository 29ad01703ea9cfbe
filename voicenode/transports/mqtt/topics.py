"""The names of topics, and which words may stand in them."""

from __future__ import annotations

from voicenode.errors import ErrorCode, RequestError, SetupError

_MAX_BYTES = 65535
"""Of a topic; MQTT counts them in 16 bits."""
_SHOWN_CHARS = 60


class Topics:
    """The topics of one node, under `<base>/<node id>/`, and those that all nodes of the base share.

    Raises:
        SetupError: the base cannot stand in a topic.
    """

    def __init__(self, base: str, node_id: str) -> None:
        if problem := topic_problem(base) or (
            "it starts or ends with a slash" if base.strip("/") != base else ""
        ):
            raise SetupError(ErrorCode.BAD_SETTINGS, f"mqtt.base_topic '{base}' is no topic: {problem}")
        self.base = base
        self.node = f"{base}/{node_id}"
        self.state = f"{self.node}/state"
        self.info = f"{self.node}/info"
        self.voices = f"{self.node}/voices"
        self.status = f"{self.node}/status"
        self.settings = f"{self.node}/settings"
        self.event = f"{self.node}/event"
        self.shared_request = f"{base}/request/synthesize"
        self.shared_response = f"{base}/response/synthesize"
        self.shared_filter = f"$share/voicenode/{self.shared_request}"

    @property
    def retained(self) -> tuple[str, ...]:
        """Every topic on which the broker keeps something of this node."""
        return (self.state, self.info, self.voices, self.status, self.settings)

    def request(self, name: str) -> str:
        return f"{self.node}/request/{name}"

    def response(self, name: str) -> str:
        return f"{self.node}/response/{name}"

    def audio(self, job_id: str) -> str:
        return f"{self.node}/audio/{job_id}"


def check_word(key: str, value: str) -> str:
    """A user's word that will be one level of a topic.

    Raises:
        RequestError: it cannot be.
    """
    if problem := _word_problem(value):
        raise RequestError(
            ErrorCode.BAD_REQUEST, f"{key} '{value[:_SHOWN_CHARS]}' cannot stand in a topic: {problem}"
        )
    return value


def topic_problem(topic: str) -> str:
    """Why nothing can be published on a topic; empty when it can."""
    if not topic:
        return "it is empty"
    if any(character in topic for character in "+#\0"):
        return "it contains one of + # or NUL"
    return "it is too long" if len(topic.encode(errors="replace")) > _MAX_BYTES else ""


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a subscription gets the messages of a topic (MQTT 5, 4.7)."""
    if topic_filter.startswith("$share/"):
        topic_filter = topic_filter.split("/", 2)[2]
    wanted, levels = topic_filter.split("/"), topic.split("/")
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index == len(levels) or level not in {"+", levels[index]}:
            return False
    return len(wanted) == len(levels)


def _word_problem(word: str) -> str:
    if not word:
        return "it is empty"
    if any(character in "+#/" or not character.isprintable() for character in word):
        return "leave out + # / and characters that cannot be printed"
    return ""
