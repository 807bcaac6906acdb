"""What a case writes in place of values: variables, times, and bodies of any size."""

import base64
import json
import re
from datetime import datetime, timedelta, timezone

VARIABLE = re.compile(r"\$\{([^}]+)\}")
TIME = re.compile(r"now([+-])(\d+)(ms|s|m|h|d)")
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
BODIES = ("json", "text", "base64", "fill")


class CaseError(Exception):
    """A case that makes no sense: a mistake of its author, not of the fleet."""


class Mismatch(Exception):
    """What came is not what the case expects."""


def moment(name):
    """`now+90s` and the like, as RFC 3339; None for other names."""
    if name == "now":
        offset = 0
    elif found := TIME.fullmatch(name):
        sign, number, unit = found.groups()
        offset = int(sign + number) * UNITS[unit]
    else:
        return None
    time = datetime.now(timezone.utc) + timedelta(seconds=offset)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def fill_in(value, variables):
    """`value` with every `${name}` replaced; a text that is nothing else keeps the variable's type."""
    if isinstance(value, dict):
        if set(value) == {"$fill"}:
            return "x" * value["$fill"]
        return {fill_in(key, variables): fill_in(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [fill_in(item, variables) for item in value]
    if not isinstance(value, str):
        return value

    def look_up(name):
        if name in variables:
            return variables[name]
        if (time := moment(name)) is not None:
            return time
        raise CaseError(f"there is no variable {name!r}; there are {', '.join(sorted(variables))}")

    if whole := VARIABLE.fullmatch(value):
        return look_up(whole[1])
    return VARIABLE.sub(lambda found: str(look_up(found[1])), value)


def body_of(operation):
    """The bytes that an operation sends, however its case writes them; the keys are taken out."""
    kinds = [kind for kind in BODIES if kind in operation]
    if len(kinds) > 1:
        raise CaseError(f"give one body and not {len(kinds)}: {', '.join(kinds)}")
    if not kinds:
        return b""
    value = operation.pop(kinds[0])
    if kinds[0] == "json":
        return json.dumps(value, ensure_ascii=False).encode()
    if kinds[0] == "text":
        return value.encode()
    if kinds[0] == "base64":
        return base64.b64decode(value, validate=True)
    return b"x" * value


def readable(message):
    """A message of a driver with its body in every form that a case may expect it in."""
    body = base64.b64decode(message.get("body", ""), validate=True)
    seen = {"subject": message["subject"], "headers": message.get("headers") or {},
            "base64": base64.b64encode(body).decode(), "bytes": len(body)}
    try:
        seen["text"] = body.decode()
        seen["json"] = json.loads(body)
    except ValueError:
        pass
    for name, value in seen["headers"].items():
        # Some headers of ours are JSON, and of a refusal two headers tell.
        if name.lower() == "flotilla-dead-letter":
            seen["dead_letter"] = json.loads(value)
    return seen


def at(path, value):
    """The part of an answer that a path like `ack.seq` leads to."""
    for name in path.split("."):
        try:
            value = value[int(name)] if isinstance(value, list) else value[name]
        except (KeyError, IndexError, TypeError, ValueError):
            raise Mismatch(f"there is no {path} in what came") from None
    return value
