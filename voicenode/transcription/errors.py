class CannotListenError(Exception):
    """Nobody listened; `str(error)` is a sentence that says who could not, and what to do."""
