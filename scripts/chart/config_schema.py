"""What may stand in `config`: the sections and keys of deploy/flotilla.toml with the kinds of their defaults,
but for those that other values of the chart decide."""

import json
import re
import tomllib

# Sections, or keys of them, that the chart writes itself.
OWNED = {
    "nats": None, "fleet": None, "categories": None, "embedded": None,
    "bridge": {"categories"},
    "browser": {"enabled", "path", "url", "proxy_listen", "proxy_host", "sandbox", "launch_timeout", "idle_timeout"},
    "chromadb": {"url", "token", "token_file"},
    "gateway": {"listen", "keys_file", "open_to_all", "leave_after", "drain_grace"},
    "knowledge": {"model_dir", "snapshot_dir"},
    "openai": {"api_key", "api_key_file"},
    "ops": {"listen"},
    "telemetry": {"trace_url"},
    "worker": {"slots", "timeout", "reserved", "drain_grace"},
}
DURATION = {"type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$"}
CATEGORY = "^[a-z][a-z0-9_]{0,31}$"


def by_name(pattern, kind):
    return {"type": "object", "patternProperties": {pattern: kind}, "additionalProperties": False}


# Tables whose keys are names: their default says nothing about what is in them.
TABLES = {
    ("worker", "breakers"): by_name("^(openai|chromadb|playwright)$", {
        "type": "object", "additionalProperties": False,
        "properties": {"failures": {"type": "integer", "minimum": 1}, "open_for": DURATION, "probe_timeout": DURATION}}),
    ("bridge", "silence_max"): by_name(CATEGORY, DURATION),
    ("bridge", "needs"): by_name(CATEGORY, {
        "type": "array", "items": {"enum": ["openai", "chromadb", "playwright"]}}),
    ("maintenance", "schedules"): by_name("^(expire|reindex|verify|probe)$", {"type": "string"}),
}
# Beyond what a default shows.
NARROWER = {("streams", "replicas"): {"enum": [1, 3, 5]}, ("log", "format"): {"enum": ["text", "json"]},
            ("knowledge", "embedder"): {"enum": ["auto", "openai", "local", "none"]}}


def documented(toml):
    """Sections with their keys, those that stand there as a comment (`# key = value`) as well."""
    lines, skipping = [], False
    for line in toml.splitlines():
        if line.startswith(("[", "# [")):
            # A commented table is an example of what its section may hold.
            skipping = line.startswith("#")
        if not skipping and re.match(r"# [a-z_]+ = \S", line):
            line = line[2:]
        lines.append(line)
        if skipping and not line.strip():
            skipping = False
    return tomllib.loads("\n".join(lines))


def kind(value):
    if isinstance(value, bool):
        return {"type": "boolean"}
    if isinstance(value, int):
        return {"type": "integer", "minimum": 0}
    if isinstance(value, float):
        return {"type": "number", "minimum": 0}
    if isinstance(value, list):
        return {"type": "array", "items": kind(value[0]) if value else {"type": "string"}}
    if isinstance(value, str):
        return DURATION if re.match(DURATION["pattern"], value) else {"type": "string"}
    raise ValueError(f"say in TABLES what {value!r} may hold")


def section(name, keys):
    owned = OWNED.get(name, set())
    properties = {}
    for key, value in sorted(keys.items()):
        if key not in owned:
            place = (name, key)
            properties[key] = TABLES.get(place) or NARROWER.get(place) or kind(value)
    for place in TABLES:
        if place[0] == name and place[1] not in owned:
            properties[place[1]] = TABLES[place]
    return {"type": "object", "additionalProperties": False, "properties": dict(sorted(properties.items()))}


def into(schema, toml):
    """The schema with its part `config` made anew."""
    sections = documented(toml)
    unknown = set(OWNED) - set(sections)
    if unknown:
        raise ValueError(f"deploy/flotilla.toml has no section {', '.join(sorted(unknown))}")
    schema = json.loads(schema)
    schema["definitions"]["config"] = {
        "description": "Made by scripts/chart.py from deploy/flotilla.toml.",
        "type": "object",
        "additionalProperties": False,
        "properties": {name: section(name, keys) for name, keys in sorted(sections.items()) if OWNED.get(name, ()) is not None},
    }
    return json.dumps(schema, indent=2) + "\n"
