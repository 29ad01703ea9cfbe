"""Home Assistant's rules for the payload that announces a device over MQTT, stricter than its own.

Made from its source (homeassistant/components/mqtt, 2025.12: schemas.py, abbreviations.py and the module of
each platform). What it rejects is rejected here; beyond that, a key that it would silently drop from a
component is an error, because then it is a slip of the pen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

Check = Callable[[Any], bool]
Schema = Mapping[str, Check]


class PayloadError(AssertionError):
    """Home Assistant would not take it, or not as it was meant."""


def string(value: Any) -> bool:  # noqa: ANN401 - any JSON
    return isinstance(value, str) and bool(value)


def strings(value: Any) -> bool:  # noqa: ANN401 - any JSON
    return isinstance(value, list) and bool(value) and all(map(string, value))


def number(value: Any) -> bool:  # noqa: ANN401 - any JSON
    return isinstance(value, int | float) and not isinstance(value, bool)


def whole(value: Any) -> bool:  # noqa: ANN401 - any JSON
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def template(value: Any) -> bool:  # noqa: ANN401 - any JSON
    return string(value) and value.count("{{") == value.count("}}") > 0


def topic(value: Any) -> bool:  # noqa: ANN401 - any JSON
    return string(value) and not set("+#\0") & set(value) and len(value.encode()) <= 65535


def web(value: Any) -> bool:  # noqa: ANN401 - any JSON
    return string(value) and bool(re.match(r"(https?|homeassistant)://[^/]", value))


def one_of(*values: Any) -> Check:  # noqa: ANN401 - any JSON
    return lambda value: value in values


AVAILABILITY: Schema = {"avty_t": topic, "avty_tpl": template, "pl_avail": string, "pl_not_avail": string}
TOP: Schema = {
    **AVAILABILITY,
    "dev": lambda value: isinstance(value, dict),
    "o": lambda value: isinstance(value, dict),
    "cmps": lambda value: isinstance(value, dict) and bool(value),
    "stat_t": topic,
    "cmd_t": topic,
    "qos": one_of(0, 1, 2),
    "e": string,
}
DEVICE: Schema = {
    "ids": strings,
    "cns": lambda value: all(strings(pair) and len(pair) == 2 for pair in value),
    **dict.fromkeys(("name", "mf", "mdl", "mdl_id", "hw", "sw", "sn", "sa", "via_device"), string),
    "cu": web,
}
ORIGIN: Schema = {"name": string, "sw": string, "url": web}
ENTITY: Schema = {
    **AVAILABILITY,
    "p": string,
    "uniq_id": string,
    "name": string,
    "ent_cat": one_of("config", "diagnostic"),
    "en": lambda value: isinstance(value, bool),
    "ic": string,
    "def_ent_id": string,
    "json_attr_t": topic,
    "json_attr_tpl": template,
    "qos": one_of(0, 1, 2),
}
READS: Schema = {"stat_t": topic, "val_tpl": template}
COMMANDS: Schema = {"cmd_t": topic, "cmd_tpl": template}
MEASURES: Schema = {"unit_of_meas": string, "dev_cla": string}

PLATFORMS: Mapping[str, tuple[set[str], Schema]] = {
    "notify": ({"cmd_t"}, COMMANDS),
    "button": ({"cmd_t"}, {**COMMANDS, "pl_prs": string, "dev_cla": one_of("identify", "restart", "update")}),
    "text": (
        {"cmd_t"},
        {**READS, **COMMANDS, "min": whole, "max": whole, "mode": one_of("text", "password")},
    ),
    "select": ({"cmd_t", "ops"}, {**READS, **COMMANDS, "ops": strings}),
    "number": (
        {"cmd_t"},
        {
            **READS,
            **COMMANDS,
            **MEASURES,
            **dict.fromkeys(("min", "max", "step"), number),
            "mode": one_of("auto", "box", "slider"),
        },
    ),
    "switch": ({"cmd_t"}, {**READS, **COMMANDS, "dev_cla": one_of("outlet", "switch")}),
    "binary_sensor": (
        {"stat_t"},
        {**READS, "dev_cla": one_of("running", "sound", "problem"), "exp_aft": whole},
    ),
    "sensor": (
        {"stat_t"},
        {
            **READS,
            **MEASURES,
            "ops": strings,
            "stat_cla": one_of("measurement", "total", "total_increasing"),
            "sug_dsp_prc": whole,
            "exp_aft": whole,
        },
    ),
    "event": ({"stat_t", "evt_typ"}, {**READS, "evt_typ": strings}),
}
"""Platform -> the keys that it requires, and all that it knows besides those of every entity."""

UNITS: Mapping[str, set[str | None]] = {
    "duration": {"d", "h", "min", "s", "ms", "µs"},
    "data_size": {"B", "kB", "MB", "GB", "KiB", "MiB", "GiB"},
    "enum": {None},
    "timestamp": {None},
}


def check(discovery_topic: str, payload: bytes, prefix: str = "homeassistant") -> dict[str, Any]:
    """The payload, of which Home Assistant takes every word; raises PayloadError where it would not."""
    if not re.fullmatch(rf"{re.escape(prefix)}/device/([\w-]+/)?[\w-]+/config", discovery_topic, re.ASCII):
        raise PayloadError(f"Home Assistant does not look at {discovery_topic}")
    data: dict[str, Any] = json.loads(payload)
    _check("", data, TOP, {"dev", "o", "cmps"})
    _check("dev", data["dev"], DEVICE, set())
    _check("o", data["o"], ORIGIN, {"name"})
    if not (data["dev"].get("ids") or data["dev"].get("cns")):
        raise PayloadError("dev has neither ids nor cns")
    for key, component in data["cmps"].items():
        _check_component(key, component, data)
    entities = [component for component in data["cmps"].values() if component.keys() != {"p"}]
    for unique in (["uniq_id"], ["p", "name"]):
        found = [tuple(component[part] for part in unique) for component in entities]
        if len(set(found)) < len(found):
            raise PayloadError(f"two components share {' and '.join(unique)}: {found}")
    return data


def render(template: str, **values: Any) -> str:  # noqa: ANN401 - whatever a template may be given
    """What Home Assistant makes of a template that is one expression, in what Jinja shares with Python."""
    names = {key: _attributes(value) for key, value in values.items()}
    expression, _, jinja_filter = template.removeprefix("{{ ").removesuffix(" }}").partition(" | ")
    value = eval(expression, {"__builtins__": {}}, names)  # noqa: S307 - the node's own template
    assert jinja_filter in {"", "tojson"}
    return json.dumps(value) if jinja_filter else str(value)


def _attributes(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """An object of JSON with its keys as attributes; one that it has not is an error, unlike in Jinja."""
    if not isinstance(value, dict):
        return value
    return SimpleNamespace(**{key: _attributes(inner) for key, inner in value.items()})


def _check_component(key: str, component: Any, device: Mapping[str, Any]) -> None:  # noqa: ANN401 - any JSON
    if not isinstance(component, dict) or component.get("p") not in PLATFORMS:
        raise PayloadError(f"{key} has no platform that is known here: {component}")
    if component.keys() == {"p"}:  # which removes it
        return
    inherited = {name: device[name] for name in ("stat_t", "cmd_t") if name in device}
    required, known = PLATFORMS[component["p"]]
    _check(key, inherited | component, {**ENTITY, **known}, required | {"uniq_id", "name"})
    rule = _RULES.get(component["p"])
    if rule is not None and (problem := rule(component)):
        raise PayloadError(f"{key}: {problem}")


def _sensor_problem(sensor: Mapping[str, Any]) -> str:
    kind, unit = sensor.get("dev_cla"), sensor.get("unit_of_meas")
    if kind is not None and unit not in UNITS[kind]:
        return f"a {kind} is not measured in {unit}"
    if ("ops" in sensor) != (kind == "enum"):
        return "options and the class enum belong together"
    if "ops" in sensor and "stat_cla" in sensor:
        return "what has options is no measurement"
    return _reading_problem(sensor)


def _reading_problem(sensor: Mapping[str, Any]) -> str:
    return "a sensor is not configured" if sensor.get("ent_cat") == "config" else ""


def _number_problem(number: Mapping[str, Any]) -> str:
    if "dev_cla" in number and number.get("unit_of_meas") not in UNITS[number["dev_cla"]]:
        return f"a {number['dev_cla']} is not measured in {number.get('unit_of_meas')}"
    if number.get("step", 1) < 0.001:
        return "a step is at least 0.001"
    return "" if number.get("min", 1) < number.get("max", 100) else "min must be less than max"


def _text_problem(text: Mapping[str, Any]) -> str:
    return "" if text.get("min", 0) <= text.get("max", 255) <= 255 else "a text has 0 to 255 characters"


_RULES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "sensor": _sensor_problem,
    "binary_sensor": _reading_problem,
    "number": _number_problem,
    "text": _text_problem,
}


def _check(where: str, data: Any, schema: Schema, required: set[str]) -> None:  # noqa: ANN401 - any JSON
    if unknown := data.keys() - schema.keys():
        raise PayloadError(f"{where}: unknown {unknown}")
    if missing := required - data.keys():
        raise PayloadError(f"{where}: missing {missing}")
    for key, value in data.items():
        if not schema[key](value):
            raise PayloadError(f"{where}: {key} must not be {value!r}")
