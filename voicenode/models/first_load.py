"""Has an engine load its model once, so that the first request does not pay for what is done once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicenode.workers.registry import engine_class, engine_path

if TYPE_CHECKING:
    from voicenode.models.local import LocalModel


def load_once(local: LocalModel, engine: str) -> None:
    """Load a downloaded model on the processor, in this process: the engine converts what it does not map.

    Args:
        local: the model.
        engine: the engine that speaks with it.

    Raises:
        EngineError: the engine is not installed (`unknown-engine`), or cannot load the model.
    """
    kind = engine_class(engine_path(engine))
    options = kind.options_type(path=str(local.root), device="cpu", **local.model.options)
    kind(options).load()
