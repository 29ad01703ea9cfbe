"""MQTT: requests, answers and the state of the node over a broker."""

from voicenode.transports.mqtt.node import Node
from voicenode.transports.mqtt.packets import Broker, Publication, Tls
from voicenode.transports.mqtt.transport import MqttTransport

__all__ = ["Broker", "MqttTransport", "Node", "Publication", "Tls"]
