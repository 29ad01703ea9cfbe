"""The voices and variants of eSpeak NG, read from the data files beside its library without loading it.

Format of the files: https://github.com/espeak-ng/espeak-ng/blob/master/docs/voices.md
"""

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from voicenode.engine import EngineError, ErrorCode

SPEAKERS = (
    "Annie",
    "Andy",
    "announcer",
    "f2",
    "f4",
    "f5",
    "linda",
    "m1",
    "m7",
    "grandma",
    "croak",
    "whisper",
)
"""Variants shown to users: a dozen that differ clearly and are pleasant; all others are accepted by name."""

_TAGS = {
    "ca-ba": "ca-x-ba",
    "ca-nw": "ca-x-nw",
    "ca-va": "ca-valencia",
    "chr-us-qaaa-x-west": "chr",
    "cmn": "zh-CN",
    "cmn-latn-pinyin": "zh-Latn-pinyin",
    "en-us-nyc": "en-US-x-nyc",
    "hbs": "sh",
    "piqd": "tlh-Piqd",
    "py": "art-x-pyash",
    "ru-cl": "ru-x-classic",
    "yue": "zh-HK",
    "zh-cmn": "zh-CN",
    "zh-yue": "yue",
}
"""eSpeak's codes that are no BCP 47 (`ca-ba` would be of Bosnia) or that Home Assistant writes otherwise."""

_DEFAULT_PRIORITY = 5
_LAST = 99
_REGION_LENGTH, _SCRIPT_LENGTH = 2, 4


@dataclass(frozen=True, slots=True)
class VoiceFile:
    """One file below `lang/`, that is one voice."""

    id: str
    """eSpeak's language code, lower-case, such as en-us."""
    identifier: str
    """The file's path below `lang/`, by which eSpeak finds exactly this voice."""
    description: str
    languages: tuple[str, ...]
    """BCP 47, the voice's own first."""
    priority: int
    """How well it stands for its whole language: of several voices for `en`, the lowest is the usual one."""


def package_folder() -> Path:
    """Where the wheel with eSpeak's library and data is installed.

    Raises:
        EngineError: it is not installed.
    """
    spec = find_spec("espeakng_loader")
    if spec is None or spec.origin is None:
        raise EngineError(
            ErrorCode.ENGINE_UNAVAILABLE,
            "eSpeak NG is missing: install it with `pip install espeakng-loader`",
        )
    return Path(spec.origin).parent


def data_folder() -> Path:
    """The folder of eSpeak's dictionaries, phonemes and voices.

    Raises:
        EngineError: it is not there.
    """
    folder = package_folder() / "espeak-ng-data"
    if not (folder / "lang").is_dir():
        raise EngineError(
            ErrorCode.ENGINE_UNAVAILABLE,
            f"eSpeak NG's data is missing in {folder}; reinstall the Python package espeakng-loader",
        )
    return folder


@cache
def voice_files() -> tuple[VoiceFile, ...]:
    """Every voice whose dictionary is installed, by language and the usual voice of a language first."""
    data = data_folder()
    voices: dict[str, VoiceFile] = {}
    for path in sorted((data / "lang").rglob("*")):
        if path.is_file() and (voice := _read(path, data, taken=voices)):
            voices[voice.id] = voice
    return tuple(sorted(voices.values(), key=lambda v: (primary(v.languages[0]), v.priority, v.id)))


@cache
def variants() -> tuple[str, ...]:
    """The names of every variant, which changes the sound of any voice: the shown ones first."""
    names = {path.name for path in (data_folder() / "voices" / "!v").iterdir()}
    shown = [name for name in SPEAKERS if name in names]
    return (*shown, *sorted(names.difference(shown), key=str.casefold))


def primary(tag: str) -> str:
    """The language of a tag without script and region: en of en-US."""
    return tag.partition("-")[0].casefold()


def _read(path: Path, data: Path, taken: dict[str, VoiceFile]) -> VoiceFile | None:
    fields = _fields(path)
    codes = {code.lower(): _priority(rest) for code, *rest in fields["language"]}
    languages = tuple(dict.fromkeys(map(_bcp47, codes)))
    code = next(iter(codes))
    dictionary = fields["dictionary"][0][0] if "dictionary" in fields else primary(code)
    if not (data / f"{dictionary}_dict").is_file():
        return None
    return VoiceFile(
        id=path.name.lower()
        if code in taken
        else code,  # of two files for one language the second goes by its name
        identifier=path.relative_to(data / "lang").as_posix(),
        description=" ".join(fields["name"][0]),
        languages=languages,
        priority=codes.get(primary(languages[0]), _LAST),
    )


def _fields(path: Path) -> dict[str, list[list[str]]]:
    fields: dict[str, list[list[str]]] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        key, *values = line.partition("//")[0].split() or [""]
        if values:
            fields.setdefault(key, []).append(values)
    return fields


def _priority(rest: list[str]) -> int:
    return int(rest[0]) if rest else _DEFAULT_PRIORITY


def _bcp47(code: str) -> str:
    if code in _TAGS:
        return _TAGS[code]
    language, *subtags = code.split("-")
    return "-".join([language, *_cased(subtags)])


def _cased(subtags: list[str]) -> list[str]:
    cased: list[str] = []
    for number, subtag in enumerate(subtags):
        if subtag == "x":  # what follows is private use, written small
            return [*cased, *subtags[number:]]
        if len(subtag) == _REGION_LENGTH:
            cased.append(subtag.upper())
        else:
            cased.append(subtag.title() if len(subtag) == _SCRIPT_LENGTH else subtag)
    return cased
