"""Which objects there are: exactly these, for these values."""

import tomllib
import unittest

from chart import BUILT_IN, EXAMPLES, Refused, example, names, one, rendered, settings

COMMON = ["ConfigMap/fleet-flotilla-config", "ServiceAccount/fleet-flotilla"]
BROKER = [f"{kind}/fleet-flotilla-nats" for kind in
          ("ConfigMap", "NetworkPolicy", "PodDisruptionBudget", "Service", "StatefulSet")]
BROKER.append("Service/fleet-flotilla-nats-headless")
TEST = ["Pod/fleet-flotilla-test", "NetworkPolicy/fleet-flotilla-test"]


def process(component, *more):
    kinds = ("Deployment", "PodDisruptionBudget", "NetworkPolicy", *more)
    return [f"{kind}/fleet-flotilla-{component}" for kind in kinds]


def fleet(categories=BUILT_IN, more=(), scaled=None):
    """Gateway, stats and categories; `more` kinds for each process, and what scales some."""
    objects = process("gateway", "Service", *more) + process("stats", "Service", *more)
    for category in categories:
        extra = [scaled[category]] if category in (scaled or {}) else []
        objects += process(category, *more, *extra)
    return objects


class Objects(unittest.TestCase):
    maxDiff = None

    def assert_objects(self, things, *expected):
        self.assertEqual(names(things), sorted(sum(expected, [])))

    def test_one_of_everything(self):
        self.assert_objects(example("kind"), COMMON, BROKER, fleet(), TEST)

    def test_a_broker_of_ones_own_brings_none(self):
        self.assert_objects(example("external-nats"), COMMON, fleet(), TEST)
        self.assert_objects(example("credentials-nats"), COMMON, fleet(), TEST)

    def test_production(self):
        hpa = {"query": "HorizontalPodAutoscaler"}
        ingress = ["Ingress/fleet-flotilla-gateway"]
        self.assert_objects(example("production"), COMMON, BROKER, fleet(scaled=hpa), ingress, TEST)

    def test_keda(self):
        scaled = dict.fromkeys(["scraping", "query", "embedding", "batch"], "ScaledObject")
        self.assert_objects(example("keda"), COMMON, BROKER, fleet(scaled=scaled), TEST)

    def test_hpa(self):
        scaled = dict.fromkeys(["scraping", "embedding"], "HorizontalPodAutoscaler")
        gateway = ["HorizontalPodAutoscaler/fleet-flotilla-gateway"]
        self.assert_objects(example("hpa"), COMMON, BROKER, fleet(scaled=scaled), gateway, TEST)

    def test_browser_and_chromadb(self):
        chromadb = [f"{kind}/fleet-flotilla-chromadb" for kind in ("NetworkPolicy", "Service", "StatefulSet")]
        self.assert_objects(example("browser-chromadb"), COMMON, BROKER, fleet(), chromadb, TEST)

    def test_categories_of_ones_own_are_values_only(self):
        categories = BUILT_IN + ["translate", "invoice-mail"]
        scaled = {"invoice-mail": "ScaledObject"}
        self.assert_objects(example("sixth-category"), COMMON, BROKER, fleet(categories, scaled=scaled), TEST)
        self.assert_objects(example("secured-handlers"), COMMON, BROKER, fleet(BUILT_IN + ["translate"]), TEST)

    def test_observability(self):
        scaled = {"scraping": "ScaledObject"}
        rules = [f"PrometheusRule/fleet-flotilla-{name}" for name in ("alerts", "recording")]
        dashboards = [f"ConfigMap/fleet-flotilla-dashboard-{name}" for name in
                      ("broker", "category", "dependencies", "fleet", "gateway")]
        self.assert_objects(example("observability"), COMMON, BROKER, fleet(more=["PodMonitor"], scaled=scaled), rules,
                            dashboards, TEST)

    def test_intranet(self):
        self.assert_objects(example("intranet"), COMMON, BROKER, fleet(), ["HTTPRoute/fleet-flotilla-gateway"], TEST)

    def test_every_example_is_looked_at(self):
        self.assertEqual(set(EXAMPLES), {"kind", "production", "external-nats", "credentials-nats", "keda", "hpa",
                                         "browser-chromadb", "sixth-category", "secured-handlers", "observability", "intranet"})

    def test_what_is_switched_off_is_not_there(self):
        things = rendered({"networkPolicy": {"enabled": False}, "defaults": {"podDisruptionBudget": False},
                           "serviceAccount": {"create": False}, "categories": {"batch": {"enabled": False}}})
        kinds = {thing["kind"] for thing in things}
        self.assertFalse(kinds & {"NetworkPolicy", "ServiceAccount"})
        budgets = [thing["metadata"]["name"] for thing in things if thing["kind"] == "PodDisruptionBudget"]
        self.assertEqual(budgets, ["fleet-flotilla-nats"])
        self.assertNotIn("Deployment/fleet-flotilla-batch", names(things))
        self.assertNotIn("batch", tomllib.loads(settings(things))["fleet"]["categories"])
        # Nobody would run its task.
        things = rendered({"categories": {"maintenance": {"enabled": False}}})
        self.assertNotIn("Pod", {thing["kind"] for thing in things})

    def test_names_fit(self):
        longest = "a" + "b" * 21
        things = rendered({"fullnameOverride": "x" * 63, "chromadb": {"enabled": True}, "categories": {longest: {}}})
        for thing in things:
            # Names become labels; a StatefulSet's gets a hash of eleven characters there.
            limit = 52 if thing["kind"] == "StatefulSet" else 63
            self.assertLessEqual(len(thing["metadata"]["name"]), limit, names([thing]))
        with self.assertRaisesRegex(Refused, "set a shorter fullnameOverride"):
            rendered({"fullnameOverride": "x" * 63, "categories": {longest + "b": {}}})

    def test_autoscaling_decides_alone(self):
        for name in EXAMPLES:
            things = example(name)
            scaled = {thing["spec"]["scaleTargetRef"]["name"] for thing in things
                      if thing["kind"] in ("ScaledObject", "HorizontalPodAutoscaler")}
            for thing in things:
                if thing["kind"] == "Deployment":
                    decided = thing["metadata"]["name"] in scaled
                    self.assertEqual("replicas" not in thing["spec"], decided, f"{name}: {thing['metadata']['name']}")

    def test_budgets_and_spread_select_their_own_pods(self):
        for name in EXAMPLES:
            things = example(name)
            for thing in things:
                if thing["kind"] == "PodDisruptionBudget":
                    workload = one([t for t in things if t["kind"] in ("Deployment", "StatefulSet")],
                                   "StatefulSet" if thing["metadata"]["name"].endswith("-nats") else "Deployment",
                                   thing["metadata"]["name"])
                    self.assertEqual(thing["spec"]["selector"], workload["spec"]["selector"])
                    self.assertEqual(thing["spec"]["maxUnavailable"], 1)
                if thing["kind"] == "Deployment":
                    spread = thing["spec"]["template"]["spec"]["topologySpreadConstraints"]
                    self.assertEqual({rule["topologyKey"] for rule in spread},
                                     {"topology.kubernetes.io/zone", "kubernetes.io/hostname"})
                    for rule in spread:
                        self.assertEqual(rule["labelSelector"], thing["spec"]["selector"])


if __name__ == "__main__":
    unittest.main()
