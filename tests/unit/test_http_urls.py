import pytest

from voicenode.transports.http import audio_url, base_url


@pytest.mark.parametrize(
    ("base", "url"),
    [
        (base_url("192.168.1.20", 10201), "http://192.168.1.20:10201/audio/x.wav"),
        (base_url("fd00::20", 10201), "http://[fd00::20]:10201/audio/x.wav"),
        ("https://voice.example/", "https://voice.example/audio/x.wav"),
        ("https://home.example/voice", "https://home.example/voice/audio/x.wav"),
    ],
)
def test_the_url_of_a_file(base: str, url: str) -> None:
    assert audio_url(base, "x.wav") == url
