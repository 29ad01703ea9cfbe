"""The HTTP transport: the audio of jobs for players, and the node's health and metrics."""

from voicenode.transports.http.server import HttpServer
from voicenode.transports.http.urls import audio_url, base_url

__all__ = ["HttpServer", "audio_url", "base_url"]
