"""Holds what came against what a case expects: as much as the case says, and no more."""

import json

TYPES = {"string": str, "number": (int, float), "object": dict, "array": list, "boolean": bool, "null": type(None)}


def short(value):
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 300 else text[:300] + "…"


def _contains(wanted, found):
    return isinstance(found, (str, list)) and wanted in found


# What an object with one key that begins with `$` asks of a value.
ASKS = {
    "$contains": _contains,
    "$starts": lambda wanted, found: isinstance(found, str) and found.startswith(wanted),
    "$type": lambda wanted, found: isinstance(found, TYPES[wanted]) and (wanted == "boolean" or not isinstance(found, bool)),
    "$at_least": lambda wanted, found: isinstance(found, (int, float)) and found >= wanted,
    "$length": lambda wanted, found: isinstance(found, (str, list, dict)) and len(found) == wanted,
    "$one_of": lambda wanted, found: found in wanted,
}


def ask_of(wanted):
    """The name and the argument of an ask; None for a plain value."""
    if isinstance(wanted, dict) and len(wanted) == 1:
        name = next(iter(wanted))
        if name in ASKS:
            return name, wanted[name]
    return None


def differences(wanted, found, path=""):
    """Every place where the two differ, in words. Keys that are not expected may be there."""
    here = path or "it"
    if ask := ask_of(wanted):
        name, argument = ask
        if not ASKS[name](argument, found):
            yield f"{here} is {short(found)}, which is not {name[1:]} {short(argument)}"
    elif isinstance(wanted, dict):
        if not isinstance(found, dict):
            yield f"{here} is {short(found)}, not an object"
            return
        for key, item in wanted.items():
            inner = f"{path}.{key}" if path else key
            if item == {"$absent": True}:
                if key in found:
                    yield f"{inner} is {short(found[key])}, and should not be there"
            elif key not in found:
                yield f"{inner} is missing; there is {short(found)}"
            else:
                yield from differences(item, found[key], inner)
    elif isinstance(wanted, list):
        if not isinstance(found, list) or len(found) != len(wanted):
            yield f"{here} is {short(found)}, not {len(wanted)} in a list"
            return
        for index, (item, came) in enumerate(zip(wanted, found)):
            yield from differences(item, came, f"{path}.{index}" if path else str(index))
    elif type(wanted) is not type(found) and not _numbers(wanted, found) or wanted != found:
        yield f"{here} is {short(found)}, not {short(wanted)}"


def _numbers(*values):
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
