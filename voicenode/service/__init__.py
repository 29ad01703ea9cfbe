"""The node as a service of systemd: `installation` and `removal` are plans of steps, `status` looks."""

from voicenode.service.places import Place
from voicenode.service.plan import installation, removal
from voicenode.service.status import status
from voicenode.service.steps import Step

__all__ = ["Place", "Step", "installation", "removal", "status"]
