"""Engines that must be told the words of a recording are told what a speech-to-text service hears."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.cloning import cloning
from tests.support.recorded import WORDS
from tests.support.stock_asr import StockAsr, serving
from voicenode.errors import RequestError
from voicenode.transcription import Transcriber

if TYPE_CHECKING:
    from pathlib import Path


async def test_words_that_nobody_wrote_down_are_heard(tmp_path: Path) -> None:
    async with (
        serving(StockAsr(heard=WORDS)) as asr,
        cloning(tmp_path, engines=("tone", "tone2"), transcriber=Transcriber(asr.uri)) as node,
    ):
        answer = await node.clone(languages=["en"])
        assert answer["engines"] == ["tone", "tone2"]
        assert any(WORDS in warning for warning in answer["warnings"])
        kept = node.voices.profiles.find("Anna")
        assert kept is not None
        assert kept.profile.transcript == WORDS


async def test_the_words_of_another_recording_are_refused_and_nothing_is_kept(tmp_path: Path) -> None:
    async with (
        serving(StockAsr(heard=WORDS)) as asr,
        cloning(tmp_path, engines=("tone", "tone2"), transcriber=Transcriber(asr.uri)) as node,
    ):
        with pytest.raises(RequestError, match="another recording: heard was 'She had") as refused:
            await node.clone(
                transcript="Nobody has ever said a thing like this before, as far as we all know."
            )
        assert refused.value.code == "bad-transcript"
        assert node.voices.profiles.find("Anna") is None


async def test_nobody_listens_where_no_engine_needs_words(tmp_path: Path) -> None:
    async with (
        serving(StockAsr(heard=WORDS)) as asr,
        cloning(tmp_path, transcriber=Transcriber(asr.uri)) as node,
    ):
        await node.clone()
        assert asr.form is None


async def test_why_nobody_listened_is_in_the_refusal(tmp_path: Path) -> None:
    async with (
        serving(StockAsr(installed=False)) as asr,
        cloning(tmp_path, engines=("tone", "tone2"), transcriber=Transcriber(asr.uri)) as node,
    ):
        with pytest.raises(RequestError, match=r"send a transcript.*has no model"):
            await node.clone(engines=["tone2"])
