"""The chart on two real nodes, with containers that run: `helm test`, a question answered through the gateway's
Service, and what a rollout, a scale-down and a drained node cost under load: nothing.

The bridge plugin enforces no network policies: what they would forbid is not seen here."""

import json
import os
import pathlib
import signal
import unittest
import urllib.request

import images
import node
from control_plane import SERVICES, ControlPlane
from load import ENDS, Load
from nats_client import Nats
from processes import tool
from release import CHART, Release
from volumes import Provisioner
from website import Website

BROKER = "flotilla-nats-0"


def setUpModule():
    global plane, nodes
    directory = pathlib.Path(os.environ["FLOTILLA_STATE"])
    node.machine(directory)
    plane = ControlPlane(directory, node.MACHINE)
    nodes = [node.Node(plane, number) for number in (1, 2)]
    for each in nodes:
        each.start()
    archives = [images.pause(directory, node.PAUSE), images.flotilla(directory, "docker.io/library/flotilla:local"),
                images.nats(directory, "docker.io/library/nats:2.15.1-alpine")]
    for each in nodes:
        each.load(*archives)
    names(directory)
    Provisioner(plane.api, volume)
    # What is sent to a Service is sent to the first node: its kube-proxy knows where to.
    node.run("ip", "route", "add", SERVICES, "via", nodes[0].address)

    def ready():
        return len([each for each in plane.api.items("/api/v1/nodes") for condition in each["status"]["conditions"]
                    if condition["type"] == "Ready" and condition["status"] == "True"]) == len(nodes)
    plane.processes.eventually("both nodes are ready", ready, explain=lambda: "\n".join(each.logs() for each in nodes))


def names(directory):
    """The names of Services, at the machine's address."""
    (directory / "Corefile").write_text(f""".:53 {{
    errors
    cache 5
    kubernetes cluster.local {{
        kubeconfig {plane.api.kubeconfig} test
    }}
}}
""")
    plane.processes.start("coredns", tool("coredns"), "-conf", directory / "Corefile")


def volume(of, name):
    path = next(each for each in nodes if each.name == of).directory / name
    path.mkdir()
    return str(path)


def address(release, service):
    return plane.api.get(f"/api/v1/namespaces/{release.namespace}/services/{service}")["spec"]["clusterIP"]


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=40) as answer:
        return json.load(answer)


class Fleet(unittest.TestCase):
    """The tests run in the order of their names: each finds the fleet whole."""

    @classmethod
    def setUpClass(cls):
        cls.site = Website(node.MACHINE)
        cls.release = Release(plane, "fleet", [CHART / "examples/kind.yaml"])
        settings = {
            "gateway.replicas": 2, "categories.scraping.replicas": 3,
            # Shorter than the longest pages of the load, so that some are handed back.
            "categories.scraping.drainGrace": "5s",
            "config.scraping.requests_per_second_per_host": 1000,
        }
        words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
        cls.words = [*words, "--set-json", f'config.scraping.allow_networks=["{node.MACHINE}/32"]']
        cls.release.install(*cls.words, wait=False)
        cls.release.until_settled(300)
        cls.gateway = f"http://{address(cls.release, 'flotilla-gateway')}"
        cls.nats = Nats(address(cls.release, "flotilla-nats"))

    def test_1_helm_test(self):
        told = self.release.helm("test", "--logs", "--timeout", "3m", wait=False)
        self.assertRegex(told, r"Phase: +Succeeded")
        self.assertIn("completed", told)

    def test_2_a_question_is_answered_through_the_service(self):
        document = {"document": {"id": "harbour", "text": "The harbour of Kiel was built in 1842. It has four docks."}}
        done = post(f"{self.gateway}/api/hp/embed?wait=30s", document)
        self.assertEqual(done["status"], "completed", done)
        found = post(f"{self.gateway}/api/hp/query?wait=30s",
                     {"query": "When was the harbour of Kiel built?", "at_least": done["result"]["sequence"]})
        self.assertEqual(found["status"], "completed", found)
        self.assertIn("1842", found["result"]["answer"])

    def test_3_nothing_is_lost_by_changes_under_load(self):
        namespace = ["--namespace", self.release.namespace]
        load = Load(self.nats, self.site, self.gateway)
        load.until_accepted(20)
        with self.subTest("a rollout of everything but the broker"):
            plane.api.kubectl("rollout", "restart", "deployment", *namespace)
            self.release.until_settled(300)
        with self.subTest("a scale-down, and up again"):
            for replicas in (1, 3):
                plane.api.kubectl("scale", "deployment/flotilla-scraping", f"--replicas={replicas}", *namespace)
                self.release.until_settled()
        with self.subTest("a node is drained"):
            broker = next(pod["spec"]["nodeName"] for pod in self.release.pods() if pod["metadata"]["name"] == BROKER)
            drained = next(each.name for each in nodes if each.name != broker)
            plane.api.kubectl("drain", drained, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout", "4m")
            self.release.until_settled(300)
            self.assertEqual({pod["spec"]["nodeName"] for pod in self.release.pods()}, {broker})
            plane.api.kubectl("uncordon", drained)
        load.until_accepted(20)
        load.stop()
        plane.processes.eventually("every task has its outcome", lambda: not load.waiting(), 120,
                                   lambda: f"{len(load.waiting())} of {len(load.accepted)} wait: {load.waiting()[:5]}")
        self.judge(load)

    def judge(self, load):
        """Each task has exactly one outcome, of its first attempt; and none ran twice that could have ended in time."""
        records = {task: self.nats.record("scraping", task) for task in load.accepted}
        twice = {task for task, (page, _) in load.accepted.items() if self.site.asked[page] > 1}
        print(f"\n{len(records)} tasks, {len(load.handed_back)} handed back, {len(twice)} pages asked for again, "
              f"{len(load.refused)} requests refused")
        self.assertGreater(len(records), 100)
        self.assertEqual([task for task, record in records.items() if record["status"] != "completed"], [])
        self.assertEqual({task: record["attempt"] for task, record in records.items() if record["attempt"] != 1}, {})
        self.assertEqual([task for task, record in records.items() if record.get("failed_attempts")], [])
        self.assertEqual([task for task, ends in load.outcomes.items() if ends != ["completed"]], [])
        self.assertEqual(self.nats.messages("DEAD"), 0)
        self.assertEqual({task: load.accepted[task] for task in twice if load.accepted[task][1] < load.long}, {})
        self.assertLessEqual(load.handed_back & set(load.accepted), {task for task, (_, s) in load.accepted.items() if s == load.long})
        self.assertEqual(load.refused, [])

    def test_4_it_would_be_seen_if_a_process_were_killed_instead(self):
        ack = self.nats.publish("tasks.scraping.normal", {"url": f"{self.site.url}/page/killed?seconds=5"})
        task = f"scrape_{ack['seq']}"
        plane.processes.eventually("it is recorded as running", lambda: self.nats.record("scraping", task))
        # In these namespaces there are no others.
        for process in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            if process.read_bytes().startswith(b"/usr/local/bin/flotilla-scraping"):
                os.kill(int(process.parent.name), signal.SIGKILL)

        def ended():
            record = self.nats.record("scraping", task)
            return record if record and record["status"] in ENDS else None
        record = plane.processes.eventually("it has its outcome all the same", ended)
        self.assertEqual((record["status"], record["attempt"], self.site.asked["killed"]), ("completed", 2, 2), record)

    def test_5_it_goes_without_a_trace(self):
        self.release.helm("uninstall", wait=False)
        # What `helm test` has made is helm's to keep, for those who want to know what it said.
        kept = {"Pod/flotilla-test", f"PersistentVolumeClaim/data-{BROKER}"}

        def left():
            return plane.api.made_in(self.release.namespace) - kept | {
                pod["metadata"]["name"] for pod in self.release.pods() if pod["status"]["phase"] == "Running"}
        plane.processes.eventually("all of it is gone", lambda: not left(), 120, lambda: f"{left()}\n{self.release.explain()}")


if __name__ == "__main__":
    unittest.main()
