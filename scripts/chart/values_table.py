"""The table of values in the chart's README, from values.yaml: what stands after `# --` above a value."""

import json
import re

import yaml

BEGIN, END = "<!-- made by ./just chart, from values.yaml -->\n", "<!-- end -->"
LINE = re.compile(r"^ *(?P<key>[A-Za-z]\w*):")


def documented(text):
    """(path, comment) of each key, in order."""
    path, comment, listed = [], None, None
    for line in text.splitlines():
        stripped = line.strip()
        depth = len(line) - len(line.lstrip())
        if listed is not None and stripped and depth <= listed and not stripped.startswith("- "):
            listed = None
        if stripped.startswith("- ") and listed is None:
            listed = depth
        if stripped.startswith("# -- "):
            comment = stripped[5:]
        elif stripped.startswith("#") and comment is not None:
            comment += " " + stripped.lstrip("# ")
        elif listed is None and (match := LINE.match(line)):
            path = path[: depth // 2] + [match["key"]]
            yield tuple(path), comment or ""
            comment = None
        elif not stripped:
            comment = None


def at(values, path):
    for key in path:
        values = values[key]
    return values


def shown(value):
    if value in ("", [], {}):
        return ""
    text = value if isinstance(value, str) else json.dumps(value)
    return f"`{text}`" if len(text) < 60 else "see values.yaml"


def rows(text):
    values, told = yaml.safe_load(text), set()
    for path, comment in documented(text):
        value = at(values, path)
        if any(path[:length] in told for length in range(len(path))):
            continue
        # A map that is explained as a whole, or names what Kubernetes calls so, is one value.
        whole = comment and isinstance(value, dict) and path[-1] in ("resources", "labels")
        if isinstance(value, dict) and value and not whole and path[-1] != "resources":
            if comment:
                yield path, comment, ""
            continue
        told.add(path)
        yield path, comment, shown(value)


def into(readme, text):
    """The README with its table made anew."""
    lines = ["| value | default | |", "|---|---|---|"]
    for path, comment, default in rows(text):
        lines.append(f"| `{'.'.join(path)}` | {default} | {comment.replace('|', chr(92) + '|')} |")
    before, rest = readme.split(BEGIN)
    _, after = rest.split(END)
    return before + BEGIN + "\n".join(lines) + "\n" + END + after
