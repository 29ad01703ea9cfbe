from pathlib import Path

import pytest

pytest.importorskip("TTS")

from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer

from script.benchmarks.xtts_report import TEXT
from tests.support import xtts_checkpoint
from voicenode.engine import EngineError, ErrorCode, RequestError
from voicenode_xtts import XttsEngine, XttsOptions
from voicenode_xtts.text import LANGUAGES, MAX_CHARS, Tokenizer, cut, primary, settle

pytestmark = pytest.mark.neural

SENTENCES = {
    "ar": "كان هناك 50 جنديًا في الساحة.",
    "cs": "Za 12,5 vteřiny přijde pan Novák.",
    "de": "Das macht 20 € und 5 Cent, Herr Dr. Müller.",
    "en": "Dr. Jones paid $20 on the 1st of May, 2024.",
    "es": "La Dra. Martínez llegará en 12,5 segundos.",
    "fr": "J'ai 14° de fièvre, Mme. Moreau.",
    "hi": "मेरे पास बैटरी है।",
    "hu": "Ez az 1. teszt, és 50 katona volt.",
    "it": "C'erano 50 soldati, Sig. Rossi.",
    "ja": "今日は12月5日、気温は20度です。",
    "ko": "배터리 잔량이 14%입니다.",
    "nl": "Dat wordt dan $20, Dhr. Jansen.",
    "pl": "Moja temperatura to 36.6°.",
    "pt": "Isso custará 20€, Sr. Silva.",
    "ru": "У меня 14% заряда, Г-н Иванов.",  # noqa: RUF001
    "tr": "Bu 1. test, 50 asker vardı.",  # noqa: RUF001
    "zh": "那里有50名士兵。",
}


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return xtts_checkpoint.write_vocabulary(tmp_path_factory.mktemp("xtts"), xtts_checkpoint.FULL)


@pytest.fixture(scope="module")
def tokenizer(vocabulary: Path) -> Tokenizer:
    return Tokenizer(vocabulary, longest=402)


@pytest.mark.parametrize("language", sorted(primary(tag) for tag in LANGUAGES))
def test_a_sentence_in_each_language_is_encoded_as_upstream_does(
    tokenizer: Tokenizer, vocabulary: Path, language: str
) -> None:
    text = SENTENCES[language]
    tokens = tokenizer.encode(text, language)
    reference = VoiceBpeTokenizer(vocabulary)
    assert tokens == reference.encode(text.lower(), lang=language)
    assert len(tokens) > 8
    unknown = reference.tokenizer.token_to_id("[UNK]")
    assert tokens.count(unknown) <= 0.1 * len(tokens)


@pytest.mark.parametrize("text", ["สวัสดีครับ วันนี้อากาศดี", "שלום לכולם, בוקר טוב"])
def test_a_text_whose_letters_the_model_has_never_seen_is_refused(tokenizer: Tokenizer, text: str) -> None:
    with pytest.raises(RequestError, match="most of its letters are unknown to the model; it speaks en, es"):
        tokenizer.encode(text, "en")
    assert tokenizer.encode(f"They say {text[:3]} here.", "en")


def test_the_vocabulary_of_a_full_checkpoint_reads_english_in_pieces_of_words(tokenizer: Tokenizer) -> None:
    assert len(tokenizer.encode(TEXT, "en")) < 0.65 * len(TEXT)


def test_numbers_and_abbreviations_are_written_out(tokenizer: Tokenizer, vocabulary: Path) -> None:
    reference = VoiceBpeTokenizer(vocabulary)
    decoded = reference.decode(tokenizer.encode(SENTENCES["en"], "en"))
    assert "doctor jones paid twenty dollars on the first of may" in decoded


@pytest.mark.parametrize(
    ("text", "language", "said"),
    [
        ("मेरे पास 14% बैटरी है।", "hi", "मेरे पास एक चार"),
        ("Je 1. test.", "cs", "je jedna . test"),
        ("It is " + "9" * 400, "en", "it is nine nine nine"),
    ],
)
def test_numbers_that_upstream_cannot_write_out_are_said_otherwise(
    vocabulary: Path, text: str, language: str, said: str
) -> None:
    reference = VoiceBpeTokenizer(vocabulary)
    with pytest.raises((NotImplementedError, OverflowError)):
        reference.encode(text, lang=language)
    assert said in reference.decode(Tokenizer(vocabulary, longest=5000).encode(text, language))


def test_the_limits_in_characters_are_upstreams(vocabulary: Path) -> None:
    assert VoiceBpeTokenizer(vocabulary).char_limits == MAX_CHARS
    engine = XttsEngine(XttsOptions())
    assert engine.max_chars("de-AT") == 253
    assert engine.max_chars("zh-CN") == 82
    assert engine.max_chars("sv") is None


def test_a_text_with_too_many_tokens_is_refused_with_what_to_do(tokenizer: Tokenizer) -> None:
    with pytest.raises(RequestError, match="full stop") as caught:
        tokenizer.encode("7 " * 200, "en")
    assert caught.value.code == ErrorCode.TEXT_TOO_LONG


@pytest.mark.parametrize("language", ["en", "de", "zh", "hi"])
def test_a_number_without_an_end_is_cut_into_pieces_that_lose_no_digit(
    tokenizer: Tokenizer, language: str
) -> None:
    digits = "1234567890" * 25
    assert not tokenizer.takes(digits, language)
    pieces = list(cut(digits, lambda piece: tokenizer.takes(piece, language)))
    assert all(tokenizer.encode(piece, language) for piece in pieces)
    assert "".join(pieces).replace(" ", "") == digits


def test_a_text_is_cut_between_words_and_as_little_as_may_be() -> None:
    assert list(cut("one two three four", lambda piece: len(piece) < 12)) == ["one two", "three four"]
    assert list(cut("one two", lambda piece: len(piece) < 12)) == ["one two"]
    assert list(cut("abcdef", lambda piece: len(piece) < 4)) == ["abc", "def"]


def test_a_language_that_the_model_lacks_is_refused() -> None:
    with pytest.raises(RequestError, match="does not speak 'sv-SE'"):
        primary("sv-SE")
    assert [primary(tag) for tag in ("pt-BR", "zh_CN", "EN")] == ["pt", "zh", "en"]


@pytest.mark.parametrize("content", ["", "{}", '{"version": "1.0", "model": {"type": "BPE"}}'])
def test_a_damaged_vocabulary_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "vocab.json"
    path.write_text(content)
    with pytest.raises(EngineError, match=r"vocab\.json is no vocabulary of XTTS v2: .*; copy your own"):
        Tokenizer(path, longest=402)


@pytest.mark.parametrize(
    ("text", "language", "settled"),
    [
        ("Yes", "en", "Yes."),
        ("He said: “Yes!”", "en", "He said: Yes!"),
        ("Well,", "en", "Well."),
        ("你好", "zh", "你好。"),
        ("Is it?", "en", "Is it?"),
    ],
)
def test_a_text_gets_an_end_and_loses_its_quotation_marks(text: str, language: str, settled: str) -> None:
    assert settle(text, language) == settled
