"""Being found on the LAN, and finding: mDNS service discovery of `_wyoming._tcp.local.`."""

from voicenode.transports.mdns.addresses import Reach, ReachSource, reach_source
from voicenode.transports.mdns.advertiser import Advertiser
from voicenode.transports.mdns.discovery import FoundNode, discover

__all__ = ["Advertiser", "FoundNode", "Reach", "ReachSource", "discover", "reach_source"]
