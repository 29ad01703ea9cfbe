"""A voice node for Home Assistant: speech over Wyoming and MQTT from local engines."""

__version__ = "0.1.0"
