import subprocess
import sys

import pytest

from voicenode.text import detect

XTTS = (
    "en", "es", "fr", "de", "it", "pt", "pl", "tr", "ru", "nl", "cs", "ar", "zh-CN", "hu", "ko", "ja", "hi",
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The light in the kitchen is on.", "en"),
        ("El horno está encendido.", "es"),
        ("La lumière est allumée.", "fr"),
        ("Das Licht in der Küche ist an.", "de"),
        ("La luce della cucina è accesa.", "it"),
        ("A luz da cozinha está acesa.", "pt"),
        ("Światło w kuchni jest włączone.", "pl"),
        ("Bugün hava çok güzel, değil mi?", "tr"),
        ("Свет на кухне включён.", "ru"),
        ("Het licht in de keuken is aan.", "nl"),
        ("Světlo v kuchyni je zapnuté.", "cs"),
        ("الضوء في المطبخ مضاء.", "ar"),
        ("厨房的灯亮着。", "zh-CN"),
        ("A konyhában ég a lámpa.", "hu"),
        ("부엌 불이 켜져 있습니다.", "ko"),
        ("台所の電気がついています。", "ja"),
        ("रसोई की बत्ती जल रही है।", "hi"),
    ],
)
def test_a_sentence_is_told_apart_from_all_others(text: str, language: str) -> None:
    assert detect(text, XTTS) == language


@pytest.mark.parametrize("text", ["", "42", "3.5 %", "OK", "!?", "Hallo"])
def test_what_is_too_short_to_tell_is_not_guessed(text: str) -> None:
    assert detect(text, XTTS) is None


def test_only_the_given_languages_are_thought_of() -> None:
    german = "Das Licht in der Küche ist an."
    assert detect(german, ["en", "zh"]) == "en"
    assert detect(german, ["de-AT", "zh"]) == "de-AT"
    assert detect(german, ["de"]) is None
    assert detect(german, ["de", "tlh"]) is None
    assert detect(german, []) is None


def test_no_memory_is_taken_before_the_first_question_and_less_than_100_mb_after_it() -> None:
    script = """if True:
        import sys, numpy
        from pathlib import Path
        from voicenode.text import detect
        def rss():
            lines = Path("/proc/self/status").read_text().splitlines()
            return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
        assert "py3langid" not in sys.modules
        before = rss()
        assert detect("Guten Abend zusammen.", ("en", "de")) == "de"
        print(rss() - before)
    """
    done = subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.PIPE, text=True)
    assert int(done.stdout) < 100_000
