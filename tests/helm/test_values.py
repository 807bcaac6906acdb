"""What values are refused, and that each is documented, known to the schema, and nothing else is."""

import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import yaml

from chart import CHART, EXAMPLES, Refused, render_text

BAD = sorted((pathlib.Path(__file__).parent / "bad").glob("*.yaml"))
# What Kubernetes itself describes is passed on as it is: Kubernetes checks it, and in the examples kubeconform.
PASSED_ON = {"affinity.nodeAffinity", "affinity.podAffinity", "affinity.podAntiAffinity", "env[].valueFrom",
             "containers[]", "named[]", "category.autoscaling.hpa.metrics[]", "global"}
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())


def resolved(schema):
    while "$ref" in schema:
        schema = SCHEMA["definitions"][schema["$ref"].removeprefix("#/definitions/")]
    return schema


def objects(schema, place):
    """(place, schema) of every object that the schema describes there, references left alone."""
    if schema.get("type") == "object":
        yield place, schema
    for key, inner in schema.get("properties", {}).items():
        yield from objects(inner, f"{place}.{key}" if place else key)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from objects(schema[key], f"{place}[]")


class Refusals(unittest.TestCase):
    def test_bad_values_are_refused_each_for_its_reason(self):
        self.assertGreaterEqual(len(BAD), 40)
        for path in BAD:
            with self.subTest(path.stem):
                why = path.read_text().splitlines()[0].removeprefix("# refused: ")
                with self.assertRaises(Refused) as refused:
                    render_text(EXAMPLES["kind"], path)
                self.assertIn(why, str(refused.exception))

    def test_a_server_does_not_become_a_cluster_by_an_upgrade(self):
        """What runs is seen by helm's `lookup`: here a copy of the chart is told."""
        for before, after, is_refused in [(1, 3, True), (3, 1, True), (5, 3, True), (3, 5, False), (3, 3, False), (0, 3, False)]:
            with self.subTest(before=before, after=after), tempfile.TemporaryDirectory() as directory:
                copy = pathlib.Path(directory) / "flotilla"
                shutil.copytree(CHART, copy)
                checks = copy / "templates" / "_checks.tpl"
                text, told = re.subn(r"lookup .*\)\) }}", f'dict "spec" (dict "replicas" {before}) }}}}', checks.read_text())
                self.assertEqual(told, 1)
                checks.write_text(text)
                command = ["helm", "template", "fleet", copy, "--values", EXAMPLES["kind"], "--set", f"nats.replicas={after}"]
                done = subprocess.run(command, capture_output=True, text=True)
                self.assertEqual(f"nats.replicas is {after}, and {before} run" in done.stderr, is_refused, done.stderr)

    def test_defaults_alone_say_what_they_need(self):
        with self.assertRaisesRegex(Refused, "gateway.apiKeys.existingSecret is empty: make keys"):
            render_text()


class Schema(unittest.TestCase):
    def test_it_is_closed_everywhere(self):
        open_ones = set()
        described = [("", SCHEMA), *SCHEMA["definitions"].items()]
        for name, definition in described:
            for place, schema in objects(definition, name):
                if schema.get("additionalProperties", True) is True:
                    open_ones.add(place)
        self.assertEqual(open_ones, PASSED_ON)

    def assert_known(self, values, schema, place):
        schema = resolved(schema)
        self.assertEqual(set(values) - set(schema["properties"]), set(), place)
        for key, value in values.items():
            inner = resolved(schema["properties"][key])
            if isinstance(value, dict) and "properties" in inner:
                self.assert_known(value, inner, f"{place}.{key}")

    def test_it_knows_the_values_there_are(self):
        self.assert_known({key: value for key, value in VALUES.items() if key != "categories"}, SCHEMA, "values")

    def assert_has_default(self, schema, values, place, missing):
        for key, inner in resolved(schema)["properties"].items():
            if key not in values:
                missing.add(f"{place}{key}")
            elif isinstance(values[key], dict) and values[key] and "properties" in resolved(inner):
                self.assert_has_default(inner, values[key], f"{place}{key}.", missing)

    def test_every_value_has_its_default(self):
        missing = set()
        for key, inner in SCHEMA["properties"].items():
            if key in ("gateway", "stats", "categoryDefaults"):
                # What is not here is in `defaults`.
                shared = VALUES["defaults"] | VALUES[key]
                self.assert_has_default(inner, shared, f"{key}.", missing)
            elif "properties" in resolved(inner) and key not in ("global", "config"):
                self.assert_has_default(inner, VALUES[key], f"{key}.", missing)
            elif key != "global":
                self.assertIn(key, VALUES)
        # Only what has one: a resource, like the storage of a container, may be left out.
        self.assertEqual({place for place in missing if not place.endswith((".limits.cpu", "ephemeral-storage"))}, set())

    def test_what_is_a_setting_is_decided_once(self):
        config = SCHEMA["definitions"]["config"]["properties"]
        for section in ("nats", "fleet", "categories", "embedded"):
            self.assertNotIn(section, config)
        for section, key in [("gateway", "listen"), ("gateway", "keys_file"), ("ops", "listen"), ("openai", "api_key"),
                             ("chromadb", "token"), ("worker", "slots"), ("browser", "url")]:
            self.assertNotIn(key, config[section]["properties"])


if __name__ == "__main__":
    unittest.main()
