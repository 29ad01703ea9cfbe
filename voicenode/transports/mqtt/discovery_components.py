"""The entities that Home Assistant shows of a node, in the abbreviations of its MQTT discovery.

https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery tells what the keys mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voicenode.jobs import JobState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from voicenode.transports.mqtt.topics import Topics

Component = dict[str, Any]

_LONGEST_IDLE = 31_536_000
"""Seconds, a year: Home Assistant wants a bound, and calls it an error when a value is beyond."""
_LONGEST_STATE = 255
"""Characters of a state and of a text entity; Home Assistant has no room for more."""

_CONFIGURED = "as configured"
"""Stands for no quality profile but that of the settings file, if there is one."""


def components(
    topics: Topics,
    *,
    voices: Iterable[str],
    qualities: Iterable[str],
    settings: Mapping[str, Any],
    status: Mapping[str, Any],
) -> dict[str, Component]:
    """Every entity that has something to show, by its key, which is part of its identity for ever.

    Args:
        topics: where the node is reached.
        voices: the names to choose the default voice from; the present one is always among them.
        qualities: the same of quality profiles.
        settings: as they stand on their topic.
        status: as it stands on its topic.
    """
    return {
        **_speech(topics),
        **dict(_settings(topics, settings, voices, qualities)),
        **_buttons(topics),
        **_sensors(topics, status),
        "job": {"p": "event", "name": "Job", "stat_t": topics.event, "evt_typ": [*JobState]},
    }


def _speech(topics: Topics) -> dict[str, Component]:
    command = {"cmd_t": topics.request("synthesize"), "cmd_tpl": "{{ {'text': value} | tojson }}"}
    return {
        "say": {"p": "notify", "name": "Say", **command},
        "text": {"p": "text", "name": "Say", "max": _LONGEST_STATE, **command},
    }


def _settings(
    topics: Topics, settings: Mapping[str, Any], voices: Iterable[str], qualities: Iterable[str]
) -> Iterator[tuple[str, Component]]:
    if "default_voice" in settings and (options := _options(voices, settings["default_voice"])):
        select = {"p": "select", "name": "Default voice", "ops": options}
        yield "default_voice", {**select, **_setting(topics, "default_voice")}
    if "default_quality" in settings and (options := _options(qualities, settings["default_quality"])):
        select = {"p": "select", "name": "Default quality", "ops": [_CONFIGURED, *options]}
        chosen = f"value if value != '{_CONFIGURED}' else None"
        template = {
            "val_tpl": f"{{{{ value_json.default_quality or '{_CONFIGURED}' }}}}",
            "cmd_tpl": f"{{{{ {{'default_quality': {chosen}}} | tojson }}}}",
        }
        yield "default_quality", {**select, **_setting(topics, "default_quality"), **template}
    if "idle_timeout_s" in settings:
        yield (
            "idle_timeout",
            {
                "p": "number",
                "name": "Idle timeout",
                "dev_cla": "duration",
                "unit_of_meas": "s",
                "mode": "box",
                "min": -1,
                "max": _LONGEST_IDLE,
                "step": 1,
                **_setting(topics, "idle_timeout_s"),
            },
        )
    if "low_vram" in settings:
        switch = {
            "val_tpl": "{{ 'ON' if value_json.low_vram else 'OFF' }}",
            "cmd_tpl": "{{ {'low_vram': value == 'ON'} | tojson }}",
        }
        yield "low_vram", {"p": "switch", "name": "Low VRAM", **_setting(topics, "low_vram"), **switch}


def _options(names: Iterable[str], chosen: str | None) -> Sequence[str]:
    """What may be chosen; what is chosen may have a name that is not listed, such as an alias."""
    return list(dict.fromkeys([*names, *([chosen] if chosen else [])]))


def _setting(topics: Topics, key: str) -> Component:
    """What shows and changes one key of the settings."""
    return {
        "ent_cat": "config",
        "stat_t": topics.settings,
        "val_tpl": f"{{{{ value_json.{key} }}}}",
        "cmd_t": topics.request("settings"),
        "cmd_tpl": f"{{{{ {{'{key}': value}} | tojson }}}}",
    }


def _buttons(topics: Topics) -> dict[str, Component]:
    return {
        "load": _button(topics, "Load engines", "load", "{}") | {"ent_cat": "config"},
        "unload": _button(topics, "Unload engines", "unload", "{}") | {"ent_cat": "config"},
        "stop": _button(topics, "Stop speaking", "cancel", '{"all":true}'),
    }


def _button(topics: Topics, name: str, request: str, payload: str) -> Component:
    return {"p": "button", "name": name, "cmd_t": topics.request(request), "pl_prs": payload}


def _sensors(topics: Topics, status: Mapping[str, Any]) -> dict[str, Component]:
    """A null in the status shows as unknown; what is not in it at all is not shown."""
    number = {"stat_cla": "measurement"}
    milliseconds = {"dev_cla": "duration", "unit_of_meas": "ms", "sug_dsp_prc": 0, **number}
    mebibytes = {"dev_cla": "data_size", "unit_of_meas": "MiB", "sug_dsp_prc": 0, **number}
    dated = {
        "json_attr_t": topics.status,
        "json_attr_tpl": "{{ {'at': value_json.last_error_at} | tojson }}",
    }
    sensors: dict[str, tuple[str, str, Component]] = {
        "engine": ("engine", "Loaded engine", {}),
        "queue": ("queued_jobs", "Queue", {"unit_of_meas": "jobs", **number}),
        "vram": ("vram_used_mib", "VRAM used", mebibytes),
        "ttfa": ("last_ttfa_ms", "Last time to first audio", milliseconds),
        "rtf": ("last_rtf", "Last real-time factor", {"sug_dsp_prc": 3, **number}),
        "error": ("last_error", "Last error", dated),
    }
    shown: dict[str, Component] = {
        key: {
            "p": "sensor",
            "name": name,
            "ent_cat": "diagnostic",
            "stat_t": topics.status,
            "val_tpl": _status_template(field, text="stat_cla" not in kind),
            **kind,
        }
        for key, (field, name, kind) in sensors.items()
        if field in status
    }
    if "speaking" in status:
        shown["speaking"] = {
            "p": "binary_sensor",
            "name": "Speaking",
            "dev_cla": "running",
            "stat_t": topics.status,
            "val_tpl": "{{ 'ON' if value_json.speaking else 'OFF' }}",
        }
    return shown


def _status_template(field: str, *, text: bool) -> str:
    value = f"value_json.{field}"
    return f"{{{{ {value} and {value}[:{_LONGEST_STATE}] }}}}" if text else f"{{{{ {value} }}}}"
