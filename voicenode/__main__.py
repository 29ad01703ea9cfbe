"""The command line, as `voicenode` and as `python -m voicenode`."""

import signal
import sys

_INTERRUPTED = 128 + signal.SIGINT


def main() -> None:
    """Run it; Ctrl-C ends it without a word, from the first moment on."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored, as after nohup
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # where an import was interrupted tells nobody anything
    from voicenode import cli  # noqa: PLC0415 - it takes most of the time until a command begins

    try:
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        cli.main()
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
