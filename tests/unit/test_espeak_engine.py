import ctypes
import math
import subprocess
import sys
from array import array
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from threading import Event, active_count

import numpy as np
import pytest

from voicenode.engine import EngineError, ErrorCode, PcmFormat, RequestError, Segment
from voicenode_espeak import EspeakEngine, EspeakOptions
from voicenode_espeak.library import Library
from voicenode_espeak.voices import data_folder, package_folder, variants, voice_files

TEXT = "The quick brown fox jumps over the lazy dog."
LIBRARY = next(package_folder().glob("libespeak-ng.*"))
FORMAT = PcmFormat(22050)

GREETINGS = {
    "am": "ሰላም ዓለም",
    "ar": "مرحبا بالعالم",
    "as": "নমস্কাৰ বিশ্ব",
    "bn": "নমস্কার",
    "bpy": "নমস্কার",
    "chr": "ᎣᏏᏲ ᎡᎶᎯ",
    "fa": "سلام دنیا",
    "gu": "નમસ્તે",
    "he": "שלום עולם",
    "hi": "नमस्ते दुनिया",
    "ja": "こんにちは",
    "ka": "გამარჯობა",
    "kn": "ನಮಸ್ಕಾರ",
    "ko": "안녕하세요",
    "kok": "नमस्कार",
    "ml": "നമസ്കാരം",
    "mr": "नमस्कार",
    "my": "မင်္ဂလာပါ",
    "ne": "नमस्ते",
    "or": "ନମସ୍କାର",
    "pa": "ਸਤਿ ਸ੍ਰੀ ਅਕਾਲ",
    "ru": "Привет, мир",
    "sd": "هيلو دنيا",
    "shn": "မႂ်ႇသုင်",
    "si": "ආයුබෝවන්",
    "ta": "வணக்கம்",
    "te": "నమస్కారం",
    "th": "สวัสดีชาวโลก",
    "ti": "ሰላም ዓለም",
    "ug": "ياخشىمۇسىز",
    "ur": "ہیلو دنیا",
    "yue": "你好世界",
    "zh": "你好世界",
}
"""A line in the writing of each language whose voice does not read Latin letters as words of its own."""


@pytest.fixture(scope="module")
def engine() -> EspeakEngine:
    engine = EspeakEngine(EspeakOptions())
    assert engine.load() == FORMAT
    return engine


def speak(
    engine: EspeakEngine,
    text: str,
    voice: str = "en-us",
    *,
    speaker: str | None = None,
    speed: float = 1.0,
    ssml: bool = False,
) -> bytes:
    segment = Segment(text, voice, "en", speaker=speaker, speed=speed, ssml=ssml)
    return b"".join(engine.synthesize(segment, Event()))


def seconds(pcm: bytes) -> float:
    return FORMAT.seconds(len(pcm))


def loudness(pcm: bytes) -> float:
    samples = array("h", pcm)
    return math.sqrt(sum(sample * sample for sample in samples) / max(1, len(samples)))


@pytest.mark.parametrize("voice", voice_files(), ids=lambda voice: voice.id)
def test_every_voice_speaks_its_language(engine: EspeakEngine, voice: object) -> None:
    assert hasattr(voice, "id")
    language = next(v for v in voice_files() if v.id == voice.id).languages[0].partition("-")[0]
    pcm = speak(engine, GREETINGS.get(language, "Sanna 1 2 3"), voice.id)
    assert seconds(pcm) > 0.3
    assert loudness(pcm) > 500


@pytest.mark.parametrize("speaker", variants())
def test_every_variant_speaks(engine: EspeakEngine, speaker: str) -> None:
    assert loudness(speak(engine, TEXT, speaker=speaker)) > 500


def test_a_voice_is_really_the_one_that_was_asked_for(engine: EspeakEngine) -> None:
    lengths = {voice: len(speak(engine, TEXT, voice)) for voice in ("en-us", "en-gb", "de", "ru", "vi")}
    assert len(set(lengths.values())) == len(lengths)


def test_a_voice_that_espeak_does_not_accept_is_an_error_and_no_other_voice() -> None:
    library = Library(LIBRARY, data_folder())
    for identifier in ("gmw/xx", "gmw/en-US+nobody"):
        with pytest.raises(EngineError, match="did not accept"):
            library.select(identifier, rate=175, pitch=50)


@pytest.mark.parametrize(
    ("voice", "speaker", "code", "near"),
    [
        ("en-ux", None, ErrorCode.UNKNOWN_VOICE, "en-us"),
        ("en-us", "Anny", ErrorCode.UNKNOWN_SPEAKER, "Annie"),
        ("en-us", "../../lang/gmw/de", ErrorCode.UNKNOWN_SPEAKER, "no speaker"),
    ],
)
def test_an_unknown_name_is_refused_with_its_neighbours(
    engine: EspeakEngine, voice: str, speaker: str | None, code: ErrorCode, near: str
) -> None:
    with pytest.raises(RequestError, match=near) as caught:
        speak(engine, TEXT, voice, speaker=speaker)
    assert caught.value.code == code


def test_chunks_come_while_espeak_speaks(engine: EspeakEngine) -> None:
    sizes = [len(chunk) for chunk in engine.synthesize(Segment(TEXT * 5, "en-us", "en"), Event())]
    assert sizes[0] <= FORMAT.bytes_per_second // 4
    assert max(sizes) <= FORMAT.bytes_per_second // 2
    assert len(sizes) > 10


def test_the_silence_at_the_end_is_short_whatever_ends_the_text(engine: EspeakEngine) -> None:
    for end in ("", ".", "!", "?", "...", "\n\n"):
        samples = array("h", speak(engine, f"Hello world{end}"))
        last = max(place for place, sample in enumerate(samples) if abs(sample) > 50)
        assert (len(samples) - last) / FORMAT.rate < 0.03


@pytest.mark.parametrize("speed", [0.25, 0.4, 0.5, 2.0, 4.0])
def test_speed_is_honoured(engine: EspeakEngine, speed: float) -> None:
    assert seconds(speak(engine, TEXT * 3)) / seconds(speak(engine, TEXT * 3, speed=speed)) == pytest.approx(
        speed, rel=0.1
    )


def test_rate_and_pitch_come_from_the_settings(engine: EspeakEngine) -> None:
    other = EspeakEngine(EspeakOptions(rate=350, pitch=90))
    other.load()
    fast = speak(other, TEXT)
    assert seconds(fast) < 0.6 * seconds(speak(engine, TEXT))
    assert _pitch(fast) > 1.3 * _pitch(speak(engine, TEXT))


def _pitch(pcm: bytes) -> float:
    """The fundamental frequency in Hz between 60 and 400: the median over the loud parts."""
    windows = np.frombuffer(pcm[: len(pcm) // 2048 * 2048], "<i2").astype(float).reshape(-1, 1024)
    loud = windows[windows.std(axis=1) > 500]
    spectra = np.abs(np.fft.rfft(loud, 2048)) ** 2
    periods = 55 + np.fft.irfft(spectra)[:, 55:367].argmax(axis=1)
    return float(np.median(FORMAT.rate / periods))


def test_ssml_is_honoured(engine: EspeakEngine) -> None:
    plain = speak(engine, "<speak>Hello world.</speak>", ssml=True)
    paused = speak(engine, '<speak>Hello <break time="2s"/> world.</speak>', ssml=True)
    assert seconds(paused) == pytest.approx(seconds(plain) + 2, abs=0.4)


def test_ssml_changes_the_language(engine: EspeakEngine) -> None:
    text = "Guten Tag, ich wohne in München."
    german = seconds(speak(engine, f"<speak>{text}</speak>", "de", ssml=True))
    english = seconds(speak(engine, f"<speak>{text}</speak>", "en-us", ssml=True))
    marked = seconds(speak(engine, f'<speak><lang xml:lang="de-DE">{text}</lang></speak>', ssml=True))
    assert abs(marked - german) < abs(marked - english)


def test_ssml_plays_no_file_of_the_node(engine: EspeakEngine) -> None:
    assert seconds(speak(engine, '<speak><audio src="/etc/passwd">no</audio></speak>', ssml=True)) < 1


@pytest.mark.parametrize(
    "text",
    [
        '<speak><prosody rate="x-slow" pitch="x-high" volume="x-soft" range="x-high">'
        + TEXT * 9
        + "</prosody></speak>",
        '<speak><voice xml:lang="de">' + TEXT * 9 + "</voice></speak>",
        '<speak><emphasis level="strong"><say-as interpret-as="characters">'
        + TEXT * 9
        + "</say-as></emphasis></speak>",
    ],
)
def test_cancelled_ssml_leaves_no_trace(engine: EspeakEngine, text: str) -> None:
    before = speak(engine, TEXT)
    stop = Event()
    for _chunk in engine.synthesize(Segment(text, "en-us", "en", ssml=True), stop):
        stop.set()
    after = speak(engine, TEXT)
    assert seconds(after) == pytest.approx(seconds(before), abs=0.01)
    assert loudness(after) == pytest.approx(loudness(before), rel=0.02)


def test_stop_ends_within_a_chunk_or_two(engine: EspeakEngine) -> None:
    stop = Event()
    chunks = engine.synthesize(Segment(TEXT * 200, "en-us", "en"), stop)
    next(chunks)
    stop.set()
    assert len(list(chunks)) < 30


def test_an_abandoned_segment_ends_and_the_next_is_whole(
    engine: EspeakEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, threads = len(speak(engine, TEXT)), active_count()
    made = _count_chunks(engine, monkeypatch)
    for taken in (0, 1, 5):
        chunks = engine.synthesize(Segment(TEXT * 200, "en-us", "en"), Event())
        assert len(list(islice(chunks, taken))) == taken
        del chunks
        assert active_count() == threads
    assert sum(made) < 100
    assert len(speak(engine, TEXT)) == pytest.approx(whole, rel=0.01)


def _count_chunks(engine: EspeakEngine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows by one for each chunk that eSpeak makes, whether or not anybody takes it."""
    made: list[int] = []
    speak_raw = engine._library.speak

    def counting(text: str, sink: Callable[[bytes], bool], *, ssml: bool = False) -> None:
        def count(pcm: bytes) -> bool:
            made.append(1)
            return sink(pcm)

        speak_raw(text, count, ssml=ssml)

    monkeypatch.setattr(engine._library, "speak", counting)
    return made


@pytest.mark.parametrize(
    ("text", "like"),
    [
        ("Hello\x00 world", "Hello world"),
        ("Hello \x01450S\x01990P world", "Hello 450S 990P world"),
        ("Hello \ud800world", "Hello world"),
        ('Hello <prosody rate="x-slow"> world', 'Hello <prosody rate="x-fast"> world'),
    ],
)
def test_plain_text_commands_nothing(engine: EspeakEngine, text: str, like: str) -> None:
    assert seconds(speak(engine, text)) == pytest.approx(seconds(speak(engine, like)), rel=0.35)


def test_phonemes_in_plain_text_are_letters(engine: EspeakEngine) -> None:
    assert seconds(speak(engine, "[[h@l'oU w3:ld]]")) > 1.3 * seconds(speak(engine, "hello world"))


@pytest.mark.parametrize("voice", ["en-us", "cmn", "ar", "th"])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "...!?",
        "🙂" * 50,
        "שלום \u202e abc Привет 你好",
        "你好" * 100,
        "x" * 2000,
        "9" * 400,
        "a" + "\u0301" * 2000,
        "\u200b\ufeff\ue03c\uf0ff\U000e0041\U0010ffff" * 50,
        "\r\n\t" * 500,
        "&lt; & <b> </speak> <!-- ]]> [[",
    ],
)
def test_odd_text_ends_like_any_other(engine: EspeakEngine, voice: str, text: str) -> None:
    assert len(speak(engine, text, voice)) % 2 == 0
    assert loudness(speak(engine, "123", voice)) > 500


def test_twenty_thousand_characters_are_one_segment(engine: EspeakEngine) -> None:
    assert seconds(speak(engine, "word " * 4000)) > 400


def test_the_version_is_the_librarys_own() -> None:
    assert Library(LIBRARY, data_folder()).version == EspeakEngine.info.version


def test_a_missing_or_broken_library_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "broken.so").write_bytes(b"no library")
    for library in (
        tmp_path / "missing.so",
        tmp_path / "broken.so",
        Path(str(ctypes.CDLL(None)._name or "libc.so.6")),
    ):
        with pytest.raises(EngineError, match="reinstall the Python package espeakng-loader") as caught:
            Library(library, data_folder())
        assert caught.value.code == ErrorCode.ENGINE_UNAVAILABLE


def _select_in_a_fresh_process(data: Path) -> str:
    """What such a process says on stderr: eSpeak keeps the data that it was given first."""
    program = (
        "import sys; from pathlib import Path; from voicenode_espeak.library import Library;"
        "Library(Path(sys.argv[1]), Path(sys.argv[2])).select('gmw/en-US+f2', rate=175, pitch=50)"
    )
    command: list[str | Path] = [sys.executable, "-c", program, LIBRARY, data]
    return subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True).stderr


def test_missing_data_says_what_to_do(tmp_path: Path) -> None:
    assert f"EngineError: eSpeak NG cannot read its data in {tmp_path}" in _select_in_a_fresh_process(
        tmp_path
    )


def test_data_may_lie_under_a_long_path(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 100) / ("e" * 100)
    folder.mkdir(parents=True)
    (folder / "espeak-ng-data").symlink_to(data_folder())
    assert _select_in_a_fresh_process(folder / "espeak-ng-data") == ""
