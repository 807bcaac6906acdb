"""The chart as the tests see it: rendered by helm, read as YAML, once for each set of values."""

import copy
import functools
import os
import pathlib
import re
import subprocess

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Another one where a test looks whether it would notice.
CHART = pathlib.Path(os.environ.get("FLOTILLA_CHART", ROOT / "helm" / "flotilla"))
EXAMPLES = {path.stem: path for path in sorted((CHART / "examples").glob("*.yaml"))}
SCHEMAS = ROOT / "tests" / "helm" / "schemas"
BUILT_IN = ["batch", "embedding", "maintenance", "query", "scraping"]


class Refused(Exception):
    """What helm says of values that it does not take."""


def render_text(*files, values=None):
    """What `helm template` prints for values from files and, over them, from a dict."""
    command = ["helm", "template", "fleet", str(CHART), "--namespace", "tasks"]
    for file in files:
        command += ["--values", str(file)]
    if values is not None:
        command += ["--values", "-"]
    done = subprocess.run(command, input=yaml.safe_dump(values or {}), capture_output=True, text=True)
    if done.returncode:
        raise Refused(done.stderr)
    return done.stdout


def parsed(text):
    return [thing for thing in yaml.safe_load_all(text) if thing]


@functools.cache
def _example(name):
    return parsed(render_text(EXAMPLES[name]))


def example(name):
    return copy.deepcopy(_example(name))


def rendered(values=None):
    """One of everything, and over it the values."""
    return parsed(render_text(EXAMPLES["kind"], values=values or {}))


def names(things):
    return sorted(f"{thing['kind']}/{thing['metadata']['name']}" for thing in things)


def one(things, kind, name):
    found = [thing for thing in things if thing["kind"] == kind and thing["metadata"]["name"] == name]
    assert len(found) == 1, f"{len(found)} of {kind}/{name} among {names(things)}"
    return found[0]


def pods(things):
    """(where, pod spec) of all that makes pods."""
    for thing in things:
        where = f"{thing['kind']}/{thing['metadata']['name']}"
        if thing["kind"] == "Pod":
            yield where, thing["spec"]
        elif thing["kind"] in ("Deployment", "StatefulSet"):
            yield where, thing["spec"]["template"]["spec"]


def containers(pod):
    return pod.get("initContainers", []) + pod["containers"]


def environment(container):
    return {variable["name"]: variable.get("value") for variable in container.get("env", [])}


def settings(things):
    """flotilla.toml as it is mounted."""
    config = one(things, "ConfigMap", next(n for n in (t["metadata"]["name"] for t in things) if n.endswith("-config")))
    return config["data"]["flotilla.toml"]


def seconds(duration):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h|d)", duration).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
