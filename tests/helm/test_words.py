"""What people are told: the promise that values give after an install, and the task that `helm test` submits."""

import subprocess
import unittest

import yaml

from chart import CHART, EXAMPLES, environment, example, one


def notes(values=None, name="kind"):
    command = ["helm", "install", "fleet", str(CHART), "--namespace", "tasks", "--dry-run=client", "--values", str(EXAMPLES[name])]
    done = subprocess.run([*command, "--values", "-"], input=yaml.safe_dump(values or {}), capture_output=True, text=True, check=True)
    return done.stdout.split("NOTES:\n")[1]


class Notes(unittest.TestCase):
    def test_the_promise_is_that_of_the_values(self):
        told = notes()
        self.assertIn("1 nats-server, 1 copy of each stream, written through to the disk before anything is acknowledged", told)
        self.assertIn("A power cut loses nothing", told)
        self.assertIn("A lost volume is all tasks lost", told)
        told = notes({"nats": {"syncInterval": "2m"}})
        self.assertIn("may lose what was accepted in the 2m before it", told)
        self.assertNotIn("A power cut loses nothing", told)
        told = notes({"nats": {"replicas": 3}})
        self.assertIn("1 of 3 servers may be away", told)
        self.assertNotIn("A lost volume", told)
        self.assertIn("as tls://nats.nats.svc:4222 keeps it: 3 copies", notes(name="external-nats"))

    def test_what_is_open_is_said(self):
        told = notes()
        self.assertIn("Whoever reaches the gateway may do everything", told)
        self.assertIn("the network policy lets in this release", told)
        told = notes(name="production")
        self.assertNotIn("may do everything", told)
        self.assertIn("https://flotilla.example.com/", told)


class HelmTest(unittest.TestCase):
    def test_a_task_is_submitted_over_nats_its_record_read_and_stats_asked(self):
        pod = one(example("production"), "Pod", "fleet-flotilla-test")
        self.assertEqual(pod["metadata"]["annotations"]["helm.sh/hook"], "test")
        steps = pod["spec"]["initContainers"] + pod["spec"]["containers"]
        words = [" ".join(step["args"]) for step in steps]
        to = "--nats tls://fleet-flotilla-nats:4222"
        self.assertEqual(words, [
            f"{to} submit maintenance operation=probe --priority critical --id helm-test-$(POD_UID) --wait=2m",
            f"{to} tasks show helm-test-$(POD_UID)", f"{to} stats"])
        for step in steps:
            self.assertEqual(step["command"], ["/usr/local/bin/flotilla"])
            self.assertEqual(environment(step)["FLOTILLA_NATS__ROLE"], "operator")
        self.assertEqual(pod["spec"]["restartPolicy"], "Never")


if __name__ == "__main__":
    unittest.main()
