"""A client of any Wyoming text-to-speech server: what it is, which voices it has, and what they say."""

from voicenode.client.address import DEFAULT_PORT, parse_uri
from voicenode.client.connection import Connection, Speech, connect
from voicenode.client.messages import NodeInfo, NodeVoice, Utterance

__all__ = [
    "DEFAULT_PORT",
    "Connection",
    "NodeInfo",
    "NodeVoice",
    "Speech",
    "Utterance",
    "connect",
    "parse_uri",
]
