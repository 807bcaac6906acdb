"""The chart on a real control plane: what is installed, changed and removed, and what the API server, the
scheduler and the controllers make of it. Nodes only say that their pods run, see kwok.py."""

import re
import subprocess
import tempfile
import textwrap
import unittest

import kwok
from api import Refused
from control_plane import ControlPlane
from release import CHART, ROOT, Release, names, selects
from volumes import Provisioner

EXAMPLES = sorted((CHART / "examples").glob("*.yaml"))
PLAIN = sorted((ROOT / "deploy/kubernetes").glob("*.yaml"))


def setUpModule():
    global plane
    directory = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(directory.cleanup)
    plane = ControlPlane(directory.name)
    unittest.addModuleCleanup(plane.stop)
    kwok.start(plane)
    provisioner = Provisioner(plane.api, lambda node, name: f"/volumes/{name}")
    unittest.addModuleCleanup(provisioner.stop)
    plane.custom_resources()


def commands(word):
    """The one block of deploy/KUBERNETES.md in which the word is."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "deploy/KUBERNETES.md").read_text(), re.S)
    found = [text for text in blocks if word in text]
    assert len(found) == 1, f"{word} is in {len(found)} blocks"
    return textwrap.dedent(found[0])


def claims(release, items):
    """Claims that somebody else is supposed to have made: those that pods name and nobody makes."""
    for item in items:
        for volume in item.get("spec", {}).get("template", {}).get("spec", {}).get("volumes", []):
            name = volume.get("persistentVolumeClaim", {}).get("claimName")
            if name and name not in {claim["metadata"]["name"] for claim in release.list("persistentvolumeclaims", "v1")}:
                plane.api.create(f"/api/v1/namespaces/{release.namespace}/persistentvolumeclaims", {
                    "metadata": {"name": name},
                    "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}})


class Restricted(unittest.TestCase):
    """That these tests would notice: the API server judges pods, not what makes them."""

    def pod(self, **security):
        return {"containers": [{"name": "main", "image": "main", "securityContext": {
            "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"}, **security}}]}

    def test_a_namespace_is_restricted(self):
        plane.namespace("restricted")
        pods = "/api/v1/namespaces/restricted/pods"
        plane.api.create(pods, {"metadata": {"name": "good"}, "spec": self.pod()})
        with self.assertRaisesRegex(Refused, "violates PodSecurity"):
            plane.api.create(pods, {"metadata": {"name": "bad"}, "spec": self.pod(privileged=True, allowPrivilegeEscalation=True)})

    def test_a_workload_that_is_too_free_has_no_pods(self):
        plane.namespace("too-free")
        labels = {"app": "free"}
        path = "/apis/apps/v1/namespaces/too-free/deployments"
        plane.api.create(path, {"metadata": {"name": "free"}, "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": self.pod(runAsNonRoot=False)}}})

        def refused():
            conditions = plane.api.get(f"{path}/free").get("status", {}).get("conditions", [])
            return [each for each in conditions if each["type"] == "ReplicaFailure" and "PodSecurity" in each["message"]]
        plane.processes.eventually("its pods are refused", refused)
        self.assertEqual(plane.api.items("/api/v1/namespaces/too-free/pods"), [])


class Examples(unittest.TestCase):
    def test_there_are_examples(self):
        self.assertIn(CHART / "examples/kind.yaml", EXAMPLES)

    def test_every_example_is_installed_runs_and_goes_without_a_trace(self):
        for number, example in enumerate(EXAMPLES):
            with self.subTest(example.name):
                self.install(Release(plane, f"example-{number}", [example]))

    def install(self, release):
        outside = plane.api.made_in_cluster()
        before = plane.api.made_in(release.namespace)
        rendered = plane.api.objects(release.template())
        claims(release, rendered)
        beside = plane.api.made_in(release.namespace) - before
        release.install()
        release.until_settled()
        with self.subTest("exactly what was rendered is there"):
            kept = {f"PersistentVolumeClaim/{claim}" for claim in self.of_stateful_sets(release)}
            self.assertEqual(plane.api.made_in(release.namespace) - beside - kept, names(rendered))
        with self.subTest("its selectors find its pods"):
            self.selectors(release)
        release.helm("uninstall")
        plane.processes.eventually("its pods are gone", lambda: not release.pods(), explain=release.explain)
        with self.subTest("what is stored stays, and nothing else"):
            self.assertEqual(plane.api.made_in(release.namespace) - beside, kept)
            volumes = {name for name in plane.api.made_in_cluster() - outside if not name.startswith("PersistentVolume/")}
            self.assertEqual(volumes, set())

    def of_stateful_sets(self, release):
        return {f"{template['metadata']['name']}-{workload['metadata']['name']}-{index}"
                for workload in release.list("statefulsets") for template in workload["spec"].get("volumeClaimTemplates", [])
                for index in range(workload["spec"]["replicas"])}

    def selectors(self, release):
        """Whatever selects pods selects those of one workload, all of them."""
        workloads = {name: {pod["metadata"]["name"] for pod in release.pods_of(workload)}
                     for name, workload in release.workloads().items()}
        self.assertTrue(all(workloads.values()), workloads)
        pods = release.pods()
        self.assertEqual(sorted(pod for each in workloads.values() for pod in each),
                         sorted(pod["metadata"]["name"] for pod in pods), "a pod of two workloads, or of none")
        for budget in release.list("poddisruptionbudgets", "policy/v1"):
            status = plane.processes.eventually(
                "the budget has been worked out",
                lambda name=budget["metadata"]["name"]: self.budget(release, name))
            found = {pod["metadata"]["name"] for pod in pods if selects(budget["spec"]["selector"]["matchLabels"], pod)}
            self.assertIn(found, workloads.values(), budget["metadata"]["name"])
            self.assertEqual(status["expectedPods"], len(found))
            # One may go at any time: a node with any of them can be drained.
            self.assertGreaterEqual(status["disruptionsAllowed"], 1, budget["metadata"]["name"])
        covered = set()
        for policy in release.list("networkpolicies", "networking.k8s.io/v1"):
            # That of the pod which `helm test` makes.
            if policy["metadata"]["name"] == "flotilla-test":
                continue
            found = {pod["metadata"]["name"] for pod in pods if selects(policy["spec"]["podSelector"].get("matchLabels", {}), pod)}
            self.assertTrue(found, f"{policy['metadata']['name']} is for no pod")
            covered |= found
        if covered:
            self.assertEqual(covered, {pod["metadata"]["name"] for pod in pods}, "a pod without a policy")
        for service in release.list("services", "v1"):
            self.assertTrue(self.endpoints(release, service["metadata"]["name"]), f"nobody behind {service['metadata']['name']}")
            ports = {port.get("name") for container in pods for port in self.ports(container)}
            for port in service["spec"]["ports"]:
                if isinstance(port["targetPort"], str):
                    self.assertIn(port["targetPort"], ports)

    def budget(self, release, name):
        item = next(each for each in release.list("poddisruptionbudgets", "policy/v1") if each["metadata"]["name"] == name)
        status = item.get("status", {})
        settled = status.get("observedGeneration") == item["metadata"]["generation"]
        return status if settled and status["currentHealthy"] == status["expectedPods"] else None

    def endpoints(self, release, service):
        return [address for piece in release.list("endpointslices", "discovery.k8s.io/v1")
                if piece["metadata"]["labels"].get("kubernetes.io/service-name") == service and piece["ports"]
                for endpoint in piece["endpoints"] or [] for address in endpoint["addresses"]]

    def ports(self, pod):
        return [port for container in pod["spec"]["containers"] + pod["spec"].get("initContainers", [])
                for port in container.get("ports", [])]


class Strict(unittest.TestCase):
    def test_a_field_that_is_unknown_is_refused(self):
        release = Release(plane, "strict", [CHART / "examples/kind.yaml"])
        manifests = release.template()
        plane.api.objects(manifests)
        spoilt = manifests.replace("terminationGracePeriodSeconds:", "terminationGracePeriodSecond:", 1)
        self.assertNotEqual(spoilt, manifests)
        told = plane.api.kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=spoilt, fails=True)
        self.assertIn("unknown field", told)


class Changes(unittest.TestCase):
    """One release over its life."""

    def setUp(self):
        self.release = Release(plane, self.id().rsplit(".", 1)[1].replace("_", "-")[:60], [CHART / "examples/kind.yaml"])
        self.addCleanup(lambda: self.release.helm("uninstall", wait=False))

    def specs(self):
        return {name: item["spec"] for name, item in self.release.workloads().items()}

    def pods(self):
        return {pod["metadata"]["name"] for pod in self.release.pods()}

    def test_upgrade_and_rollback(self):
        self.release.install()
        self.release.until_settled()
        installed, pods = self.specs(), self.pods()

        with self.subTest("the same again changes nothing"):
            self.release.upgrade()
            self.assertEqual(self.specs(), installed)
            self.assertEqual(self.pods(), pods)

        with self.subTest("a setting of the fleet replaces its pods, and not the broker's"):
            self.release.upgrade("--set", "config.worker.overtakes_max=7")
            self.release.until_settled()
            broker = {name for name in pods if "nats" in name}
            self.assertEqual(self.pods() & pods, broker)
            self.assertTrue(broker)

        with self.subTest("what cannot work is refused, and changes nothing"):
            before, pods = self.specs(), self.pods()
            told = self.release.upgrade("--set", "defaults.terminationGracePeriodSeconds=10", fails=True)
            self.assertIn("terminationGracePeriodSeconds", told)
            told = self.release.upgrade("--set", "defaults.replica=2", fails=True)
            self.assertIn("replica", told)
            self.assertEqual((self.specs(), self.pods()), (before, pods))

        with self.subTest("back to the first revision"):
            self.release.helm("rollback", "1")
            self.release.until_settled()
            self.assertEqual(self.specs(), installed)

    def test_what_an_autoscaler_has_decided_stays(self):
        scaled = ["--set", "categories.query.autoscaling.type=keda", "--set", "categories.batch.autoscaling.type=hpa"]
        self.release.install(*scaled)
        path = f"/apis/apps/v1/namespaces/{self.release.namespace}/deployments/flotilla-"
        for category in ("query", "batch"):
            plane.api.patch(f"{path}{category}/scale", {"spec": {"replicas": 3}})
        self.release.until_settled()
        self.release.upgrade(*scaled, "--set", "config.worker.overtakes_max=7")
        self.release.until_settled()
        for category in ("query", "batch"):
            self.assertEqual(plane.api.get(f"{path}{category}/scale")["status"]["replicas"], 3, category)

        def found():
            scalers = self.release.list("horizontalpodautoscalers", "autoscaling/v2")
            return [condition for scaler in scalers for condition in scaler["status"].get("conditions") or []
                    if condition["type"] == "AbleToScale" and condition["status"] == "True"]
        plane.processes.eventually("the autoscaler finds what it scales", found)

    def test_it_is_stopped_and_started_as_the_restore_has_it(self):
        self.release.install("--set", "categories.query.autoscaling.type=keda", "--set", "categories.batch.autoscaling.type=hpa",
                             "--set", "gateway.replicas=3")
        self.release.until_settled()
        path = f"/apis/apps/v1/namespaces/{self.release.namespace}/deployments/flotilla-"
        for category in ("query", "batch"):
            plane.api.patch(f"{path}{category}/scale", {"spec": {"replicas": 2}})
        self.release.until_settled()

        def counts():
            return {item["metadata"]["name"]: item["spec"]["replicas"] for item in self.release.list("deployments")}

        def pausing():
            return [item["metadata"].get("annotations", {}).get("autoscaling.keda.sh/paused-replicas")
                    for item in self.release.list("scaledobjects", "keda.sh/v1alpha1")]
        before = counts()
        stop, start = commands("--replicas=0"), commands("<counts").partition("kubectl --namespace flotilla exec")[0]
        with tempfile.TemporaryDirectory() as directory:
            self.typed(stop, directory)
            self.assertEqual((set(counts().values()), pausing()), ({0}, ["0"]))
            self.assertEqual({pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in self.release.pods()}, {"nats"})
            # In the same terminal, as far as that matters.
            self.typed(stop.splitlines()[0] + "\n" + start, directory)
        self.release.until_settled()
        self.assertEqual((counts(), pausing()), (before, [None]))

    def typed(self, text, directory):
        text = text.replace("--namespace flotilla ", f"--namespace {self.release.namespace} ")
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", text], cwd=directory, env=plane.api.environment,
                              capture_output=True, text=True, timeout=400)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_a_node_is_drained(self):
        many = ["gateway", "categories.scraping", "categories.query"]
        self.release.install(*[word for name in many for word in ("--set", f"{name}.replicas=3")])
        self.release.until_settled()
        for name in ("gateway", "scraping", "query"):
            pods = self.release.pods_of(self.release.workloads()[f"Deployment/flotilla-{name}"])
            self.assertEqual(sorted(pod["spec"]["nodeName"] for pod in pods), kwok.NODES, "not spread over nodes and zones")
        # The volume of the broker is where it is: another node.
        broker = next(pod["spec"]["nodeName"] for pod in self.release.pods() if "nats" in pod["metadata"]["name"])
        node = next(name for name in kwok.NODES if name != broker)
        self.addCleanup(plane.api.kubectl, "uncordon", node)
        plane.api.kubectl("drain", node, "--delete-emptydir-data", "--timeout", "2m",
                          "--pod-selector", "app.kubernetes.io/part-of=flotilla")
        self.release.until_settled()
        self.assertNotIn(node, {pod["spec"]["nodeName"] for pod in self.release.pods()})

    def test_a_cluster_of_brokers_is_never_on_one_node(self):
        self.release.install("--set", "nats.replicas=3")
        self.release.until_settled()
        broker = self.release.workloads()["StatefulSet/flotilla-nats"]
        self.assertEqual(sorted(pod["spec"]["nodeName"] for pod in self.release.pods_of(broker)), kwok.NODES)


class Plain(unittest.TestCase):
    """What is there for those without helm. It brings its own namespace."""

    def test_there_are_manifests(self):
        self.assertEqual([file.name for file in PLAIN], ["kind.yaml", "production.yaml"])

    def test_they_run_and_go(self):
        for file in PLAIN:
            with self.subTest(file.name):
                outside = plane.api.made_in_cluster()
                plane.api.kubectl("apply", "--validate=strict", "-f", file)
                release = Release(plane, "flotilla", create=False)
                level = plane.api.get("/api/v1/namespaces/flotilla")["metadata"]["labels"]
                self.assertEqual(level["pod-security.kubernetes.io/enforce"], "restricted")
                release.until_settled()
                self.assertGreaterEqual(len(release.pods()), len(release.workloads()))
                plane.api.kubectl("delete", "--timeout", "2m", "-f", file)
                left = {name for name in plane.api.made_in_cluster() - outside if not name.startswith("PersistentVolume/")}
                self.assertEqual(left, set())


if __name__ == "__main__":
    unittest.main()
