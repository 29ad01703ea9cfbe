"""What commands about models raise."""

from voicenode.errors import ErrorCode, SetupError


class ModelError(SetupError):
    """A model cannot be had, or not be used as it is."""

    def __init__(self, message: str) -> None:
        super().__init__(ErrorCode.ENGINE_UNAVAILABLE, message)
