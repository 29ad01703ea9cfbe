"""`config/` says what the code says."""

from pathlib import Path

from script.site import settings_page
from script.site.settings_page import engine_docs, section_docs
from voicenode.settings import Settings, load
from voicenode.text import Lexicon

CONFIG = Path(__file__).parents[2] / "config"
ENGINES = {"espeak": "voicenode_espeak:EspeakEngine"}


def comments(lines: list[str]) -> dict[str, str]:
    """Dotted path of each key of a YAML file -> the comment above it."""
    found: dict[str, str] = {}
    above: list[str] = []
    comment = ""
    for line in filter(None, lines):
        indent = (len(line) - len(line.lstrip())) // 2
        if line.lstrip().startswith("#"):
            comment = line.lstrip(" #")
        else:
            above[indent:] = [line.split(":")[0].strip()]
            found[".".join(above)], comment = comment, ""
    return found


def test_the_example_holds_every_default(tmp_path: Path) -> None:
    (tmp_path / "voicenode.yaml").touch()
    example, defaults = (
        load(folder / "voicenode.yaml", {"text.lexicon": "/lexicon"}, {}, ENGINES)
        for folder in (CONFIG, tmp_path)
    )
    assert example.values == defaults.values


def test_the_example_holds_every_key_and_what_it_means() -> None:
    docs = dict(section_docs(Settings))
    for name, path in ENGINES.items():
        docs |= engine_docs(name, path)
    text = (CONFIG / "voicenode.yaml").read_text()
    assert comments(text.partition("\n\n")[2].splitlines()) == docs


def test_the_page_of_the_settings_is_made_of_them() -> None:
    page = (CONFIG.parent / "docs/settings.md").read_text()
    assert page == settings_page.render(), "docs/settings.md is out of date; run script/docs"


def test_the_lexicon_beside_the_example_is_found_and_can_be_read() -> None:
    lexicon = load(CONFIG / "voicenode.yaml", {}, {}, ENGINES).settings.text.lexicon
    assert lexicon
    assert Lexicon.read(lexicon).apply("The HVAC is on.", "en-US") == "The H vac is on."
