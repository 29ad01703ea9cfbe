"""Which tests run one after the other where several processes share them."""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling

_LAN = "the LAN"
_SEEN_BY_ALL = ("test_docs.py", "test_daemon_speaks.py", "test_mdns_advertiser.py", "test_mdns_discovery.py")
"""Their nodes are announced: whoever looks for a node on this machine meanwhile finds those too."""


class Lanes(LoadFileScheduling):  # type: ignore[misc] # xdist has no types
    """The tests of a file stay together, for they share its daemons, and so do all that meet on the LAN."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return _LAN if file.endswith(_SEEN_BY_ALL) else file
