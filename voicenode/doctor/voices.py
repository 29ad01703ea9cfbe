"""Whether there are the voices that the settings name, told without loading an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicenode.cloning.profiles import VoiceProfiles
from voicenode.cloning.shelf import Shelf
from voicenode.parts import STORE_FOLDER, build_pool, build_processor, create_engines
from voicenode.stores.file import FileStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicenode.errors import EngineError, RequestError
    from voicenode.processor import VoiceProcessor
    from voicenode.settings import LoadedSettings, Settings


async def missing_voices(loaded: LoadedSettings) -> Mapping[str, RequestError | EngineError]:
    """The settings whose voice is not found -> why; an EngineError where its engine cannot be asked.

    Cloned voices are those of this machine's store; Redis is not asked.

    Raises:
        StoreError: the store cannot be read.
    """
    engines = create_engines(loaded)
    processor = build_processor(loaded, engines, build_pool(loaded.settings, engines))
    await _show_cloned(loaded.settings, processor)
    return dict(processor.catalogue.missing())


async def _show_cloned(settings: Settings, processor: VoiceProcessor) -> None:
    folder = settings.data_dir / STORE_FOLDER
    if not folder.is_dir():
        return
    shelf = Shelf(processor, settings.voices.advertised, settings.fallback.engines)
    async with FileStore(folder) as store:
        profiles = VoiceProfiles(store, shelf.change)
        for name in await profiles.names():
            await profiles.refreshed(name)
    shelf.show(profiles)
