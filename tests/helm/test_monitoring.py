"""Who scrapes, alerts and shows, and by what autoscalers go."""

import json
import unittest

from chart import ROOT, example, one


class Monitoring(unittest.TestCase):
    def test_rules_are_those_of_the_project(self):
        things = example("observability")
        for name in ("alerts", "recording"):
            rule = one(things, "PrometheusRule", f"fleet-flotilla-{name}")
            self.assertTrue(rule["spec"]["groups"])
        urls = [rule["annotations"]["runbook_url"] for group in one(things, "PrometheusRule", "fleet-flotilla-alerts")["spec"]["groups"]
                for rule in group["rules"]]
        for url in urls:
            self.assertTrue(url.startswith("https://wiki.example.com/flotilla/RUNBOOK.md#"), url)

    def test_rules_about_what_is_there_mean_this_release(self):
        groups = one(example("observability"), "PrometheusRule", "fleet-flotilla-alerts")["spec"]["groups"]
        rules = {rule["alert"]: rule["expr"] for group in groups for rule in group["rules"]}
        self.assertEqual(rules["FlotillaStatsAbsent"], 'absent(flotilla_stats_look_age_seconds{namespace="tasks"})')
        ours = '{namespace="tasks",persistentvolumeclaim=~"data-fleet-flotilla-nats-[0-9]+"}'
        self.assertEqual(rules["FlotillaVolumeNearlyFull"].count(ours), 2)

    def test_dashboards_are_those_of_the_project(self):
        for path in (ROOT / "deploy" / "grafana" / "dashboards").iterdir():
            config = one(example("observability"), "ConfigMap", f"fleet-flotilla-dashboard-{path.stem}")
            self.assertEqual(json.loads(config["data"][f"flotilla-{path.name}"]), json.loads(path.read_text()))
            self.assertEqual(config["metadata"]["labels"]["grafana_dashboard"], "1")

    def test_pods_are_scraped_under_the_job_that_alerts_know(self):
        things = example("observability")
        monitors = [thing for thing in things if thing["kind"] == "PodMonitor"]
        self.assertEqual(len(monitors), 7)
        for monitor in monitors:
            endpoint = monitor["spec"]["podMetricsEndpoints"][0]
            self.assertEqual(endpoint["relabelings"], [{"action": "replace", "targetLabel": "job", "replacement": "flotilla"}])
            workload = one(things, "Deployment", monitor["metadata"]["name"])
            self.assertEqual(monitor["spec"]["selector"], workload["spec"]["selector"])

    def test_a_prometheus_is_asked_where_there_is_one(self):
        scaled = one(example("observability"), "ScaledObject", "fleet-flotilla-scraping")["spec"]
        self.assertEqual(scaled["triggers"][0]["type"], "prometheus")
        self.assertIn('category="scraping"', scaled["triggers"][0]["metadata"]["query"])

    def test_nobody_is_sent_home_while_nobody_can_be_asked(self):
        for thing in example("keda"):
            if thing["kind"] == "ScaledObject":
                self.assertGreaterEqual(thing["spec"]["fallback"]["replicas"], 1)
                self.assertEqual(thing["spec"]["fallback"]["behavior"], "currentReplicasIfHigher")


if __name__ == "__main__":
    unittest.main()
