"""Where others find what this transport serves."""

from voicenode.sockets import host_and_port

AUDIO_PATH = "/audio/"


def base_url(host: str, port: int) -> str:
    """The start of every URL for a node that is reached at this address, such as `http://192.168.1.20:10201`."""
    return f"http://{host_and_port((host, port))}"


def audio_url(base: str, name: str) -> str:
    """The URL of an audio file; `base` is a `base_url` or what a proxy makes of it, path and all."""
    return f"{base.rstrip('/')}{AUDIO_PATH}{name}"
