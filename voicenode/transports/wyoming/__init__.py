"""The Wyoming door: what Home Assistant and every Wyoming client talk to."""

from voicenode.transports.wyoming.server import WyomingServer

__all__ = ["WyomingServer"]
