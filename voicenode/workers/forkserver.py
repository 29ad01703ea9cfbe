"""A process with an engine's libraries imported: `python -m voicenode.workers.forkserver FD MODULE:CLASS`.

Packets out: `ready`, or why there is no use in it; then one answer to each packet in.
Packets in: `fork`, with the socket of an engine process, answered with its id; an id that `fork` gave, of a
process that has ended, answered with its exit status.

When it forks it has one thread, no device and no weights. When the daemon goes away, so does this process;
those that were forked see to it themselves.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
import threading
from importlib import import_module
from typing import NoReturn

from voicenode.workers.registry import engine_class
from voicenode.workers.worker import NICENESS, serve

READY = b"ready"
PACKET = 4096
"""Bytes of the longest packet."""
_LEAST_PRIORITY = 19
_OWN_THREADS = 2
"""The one that listens and the one that imports."""


def main() -> NoReturn:
    """Import what the engine of the command line needs, and fork at command."""
    os.nice(NICENESS)
    # PyTorch's other way to see whether there is a GPU initialises CUDA, which does not survive a fork.
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    daemon, path = socket.socket(fileno=int(sys.argv[1])), sys.argv[2]
    # In a thread: the end of the daemon is seen meanwhile, and the low priority is the import's alone.
    importing = threading.Thread(target=_import, args=(daemon, path), name="import")
    importing.start()
    while True:
        packet, fds, _, _ = socket.recv_fds(daemon, PACKET, 1, socket.MSG_CMSG_CLOEXEC)
        if not packet:
            os._exit(0)
        importing.join()
        answer = _fork(daemon, path, fds[0]) if fds else _status(int(packet))
        daemon.send(str(answer).encode())


def _import(daemon: socket.socket, path: str) -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LEAST_PRIORITY)
    try:
        for module in engine_class(path).imports:
            import_module(module)
    except Exception as error:  # noqa: BLE001 - a stranger's module runs here, and may raise anything
        daemon.send(f"{type(error).__name__}: {error}".encode()[:PACKET])
        return
    if threading.active_count() > _OWN_THREADS:
        daemon.send(b"importing them starts threads, which do not survive a fork")
        return
    # What is there by now stays: a collector that looks at it would copy the pages that are shared.
    gc.collect()
    gc.freeze()
    daemon.send(READY)


def _fork(daemon: socket.socket, path: str, fd: int) -> int:
    sys.stderr.flush()
    pid = os.fork()
    if not pid:
        daemon.close()
        serve(socket.socket(fileno=fd), path)
    os.setpgid(pid, pid)
    os.close(fd)
    return pid


def _status(pid: int) -> int:
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    main()
