"""Reads the cases, and refuses those that nobody could run."""

import json
from pathlib import Path

from .steps import operation_of
from .values import CaseError

DIRECTORY = Path(__file__).parent.parent / "cases"
KEYS = {"name", "why", "steps", "must_fail", "without"}


def load(directory=DIRECTORY):
    """All cases, by files in their order of name, and in each file as they stand."""
    files = sorted(directory.glob("*.json"))
    cases = [case for file in files for case in _read(file)]
    names = [case["name"] for case in cases]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise CaseError(f"there are two cases of the name {', '.join(sorted(twice))}")
    if not cases:
        raise CaseError(f"there are no cases in {directory}")
    return cases


def _read(file):
    try:
        cases = json.loads(file.read_text())
    except ValueError as error:
        raise CaseError(f"{file.name}: {error}") from None
    for case in cases:
        name = case.get("name")
        unknown = set(case) - KEYS
        if unknown or not name or not case.get("why") or not case.get("steps"):
            raise CaseError(f"{file.name}, case {name!r}: it needs name, why and steps, and may have must_fail and without; {unknown or 'nothing'} is unknown")
        for number, step in enumerate(case["steps"], start=1):
            try:
                operation_of(step)
            except CaseError as error:
                raise CaseError(f"{file.name}, case {name!r}, step {number}: {error}") from None
    return cases
