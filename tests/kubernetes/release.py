"""A release of the chart in a namespace of its own."""

import json
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "helm/flotilla"
WORKLOADS = {"Deployment": "deployments", "StatefulSet": "statefulsets"}


class Release:
    def __init__(self, plane, namespace, values=(), create=True):
        self.plane, self.api, self.namespace = plane, plane.api, namespace
        self.values = [word for file in values for word in ("--values", file)]
        if create:
            plane.namespace(namespace)

    def helm(self, verb, *arguments, wait=True, **options):
        waiting = ["--wait", "--timeout", "3m"] if wait else []
        return self.api.helm(verb, "--namespace", self.namespace, *waiting, "flotilla", *arguments, **options)

    def install(self, *arguments, **options):
        return self.helm("install", CHART, *self.values, *arguments, **options)

    def upgrade(self, *arguments, **options):
        return self.helm("upgrade", CHART, *self.values, *arguments, **options)

    def template(self, *arguments):
        return self.api.helm("template", "--namespace", self.namespace, "--no-hooks", "flotilla", CHART, *self.values,
                             *arguments, "--api-versions", "keda.sh/v1alpha1", "--api-versions", "monitoring.coreos.com/v1")

    def manifest(self):
        """What helm has installed, as live objects."""
        told = self.api.kubectl("get", "--namespace", self.namespace, "-o", "json", "-f", "-",
                                stdin=self.api.helm("get", "manifest", "--namespace", self.namespace, "flotilla"))
        return json.loads(told)["items"]

    def list(self, resource, group="apps/v1"):
        prefix = "/api/v1" if group == "v1" else f"/apis/{group}"
        return self.api.items(f"{prefix}/namespaces/{self.namespace}/{resource}")

    def pods(self):
        return self.list("pods", "v1")

    def workloads(self):
        return {f"{kind}/{item['metadata']['name']}": item
                for kind, resource in WORKLOADS.items() for item in self.list(resource)}

    def pods_of(self, workload):
        wanted = workload["spec"]["selector"]["matchLabels"]
        return [pod for pod in self.pods() if selects(wanted, pod)]

    def settled(self):
        """Whether each workload has all pods that it wants, ready and of its latest revision, and no other."""
        for workload in self.workloads().values():
            status, wanted = workload["status"], workload["spec"]["replicas"]
            if status.get("observedGeneration") != workload["metadata"]["generation"]:
                return False
            if any(status.get(count, 0) != wanted for count in ("replicas", "updatedReplicas", "readyReplicas")):
                return False
        return all(pod["metadata"].get("deletionTimestamp") is None for pod in self.pods())

    def explain(self):
        """Why it is not settled: what each pod and the controllers complain about."""
        told = [self.api.kubectl("get", "pods,deployments,statefulsets", "-o", "wide", "-n", self.namespace)]
        told += [f"{event['involvedObject']['kind']}/{event['involvedObject']['name']}: {event['message']}"
                 for event in self.list("events", "v1") if event["type"] == "Warning"][-20:]
        return "\n".join(told)

    def until_settled(self, seconds=120):
        self.plane.processes.eventually("all pods are ready", self.settled, seconds, self.explain)


def selects(labels, item):
    return labels.items() <= item["metadata"].get("labels", {}).items()


def names(items):
    return {f"{item['kind']}/{item['metadata']['name']}" for item in items}
