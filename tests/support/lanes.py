"""Which tests run one after the other where several processes share them."""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling

_LAN = "the LAN"
_SEEN_BY_ALL = (
    *("test_docs.py", "test_daemon_speaks.py"),
    *("test_mdns_advertiser.py", "test_mdns_discovery.py", "test_speech_to_text.py"),
)
"""Their services are announced: whoever looks for one on this machine meanwhile finds those too."""


class Lanes(LoadFileScheduling):  # type: ignore[misc] # xdist has no types
    """The tests of a file stay together, for they share its daemons, and so do all that meet on the LAN."""

    assigned_work: dict[object, object]
    """What each worker has been given."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return _LAN if file.endswith(_SEEN_BY_ALL) else file

    def remove_node(self, node: object) -> str | None:
        """A test that ended its process is not given to the next, for it would end that too."""
        others = self.assigned_work
        self.assigned_work = {node: others[node]}
        ended: str | None = super().remove_node(node)
        del others[node]
        self.assigned_work = others
        for lane, tests in list(self.workqueue.items()):
            if ended in tests:
                tests[ended] = True
            if all(tests.values()):
                del self.workqueue[lane]
        for other in others:
            self._reschedule(other)
        return ended
