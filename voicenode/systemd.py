"""What systemd wants to hear of a service: sd_notify(3), without a library."""

import os
import socket


def notify(state: str) -> None:
    """Tell the service manager a state such as `READY=1`; does nothing where there is none."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as manager:
        try:
            # An @ stands for the zero byte of an abstract address.
            manager.sendto(state.encode(), "\0" + address[1:] if address[0] == "@" else address)
        except OSError:
            # The manager is gone or its queue is full; the next beat comes soon, and nothing here can help.
            return


def watchdog_interval() -> float | None:
    """Seconds between two beats, half of what the manager allows; None when nobody watches this process."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    allowed = os.environ.get("WATCHDOG_USEC", "")
    return int(allowed) / 2_000_000 if allowed.isdigit() and int(allowed) else None
