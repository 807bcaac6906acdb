"""deploy/nats/backup.sh and restore.sh, on servers of its own: what is kept while a fleet works comes back, and goes on."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "flotilla"
NATS, GATEWAY = 4222, 8080
URL = f"nats://127.0.0.1:{NATS}"


def eventually(what, is_so, seconds=60):
    deadline = time.monotonic() + seconds
    while not (found := is_so()):
        if time.monotonic() > deadline:
            raise AssertionError(f"never came true: {what}")
        time.sleep(0.1)
    return found


def call(path, body=None, method=None):
    """The API's answer; None where nobody answers, or as it should not."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{GATEWAY}/api/hp{path}", data,
                                     {"content-type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=40) as answer:
            return json.load(answer)
    except OSError:
        return None


class Site:
    """A nats-server with a store of its own, and the fleet on it."""

    def __init__(self, directory):
        self.directory = directory
        self.processes = []
        self.run(["nats-server", "--jetstream", "--addr", "127.0.0.1", "--port", str(NATS), "--store_dir", str(directory)])
        eventually("the server answers", lambda: subprocess.run(
            ["nats", "--server", URL, "account", "info"], capture_output=True).returncode == 0)

    def fleet(self):
        """Starts it; what comes back stops it."""
        self.run([str(PROGRAM), "up", "--nats-url", URL, "--listen", f"127.0.0.1:{GATEWAY}"])
        eventually("the fleet is healthy", lambda: (call("/health") or {}).get("healthy"))
        fleet = self.processes[-1]

        def stop():
            fleet.terminate()
            fleet.wait(timeout=60)

        return stop

    def run(self, command):
        with open(self.directory / f"{len(self.processes)}.log", "wb") as log:
            self.processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
            process.wait(timeout=60)


def script(name, *arguments):
    done = subprocess.run([ROOT / "deploy" / "nats" / name, *arguments], capture_output=True, text=True,
                          env={**os.environ, "NATS_URL": URL})
    return done.returncode, done.stdout, done.stderr


class Backup(unittest.TestCase):
    def setUp(self):
        # Alone on the loopback address: ports are the usual ones, and nothing else is there.
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="flotilla-backup-"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.sites = []
        self.addCleanup(lambda: [site.stop() for site in self.sites])

    def site(self, name):
        (self.directory / name).mkdir()
        self.sites.append(Site(self.directory / name))
        return self.sites[-1]

    def test_what_is_kept_comes_back_and_goes_on(self):
        before, backup = self.site("before"), str(self.directory / "backup")
        before.fleet()
        done = self.completed(call("/embed?wait=30s", {"document": {"id": "manual", "text": "Hold the button for five seconds."}}))
        large = call("/embed?wait=30s", {"document": {"id": "large", "text": "The warranty lasts 36 months. " * 38_000}})
        self.completed(large)
        later = call("/query?wait=0s", {"query": "How long do I hold the button?", "delay": "20s"})["task_id"]
        call("/schedules", {"id": "nightly", "category": "query", "cron": "0 3 * * *", "payload": {"query": "Well?"}})
        call("/queues/query/pause", {})
        published = subprocess.run(["nats", "--server", URL, "pub", "--jetstream", "tasks.query.normal", '{"query": "How long?"}'],
                                   check=True, capture_output=True, text=True)
        waiting = [call("/query?wait=0s", {"query": "How long do I hold the button?"})["task_id"] for _ in range(20)]
        stored = eventually("statistics are saved", lambda: call("/stats")["totals"]["total_tasks"] >= 2 and call("/stats"))
        code, told, why = script("backup.sh", backup)
        self.assertEqual((code, why), (0, ""), told + published.stderr)
        self.assertIn("a directory of its own", script("backup.sh", backup)[2])
        before.stop()
        self.sites.remove(before)

        after = self.site("after")
        code, told, why = script("restore.sh", backup)
        self.assertEqual((code, why), (0, ""), told)
        self.assertIn("exists already", script("restore.sh", backup)[2])
        self.comes_back_in_place(after, backup)
        after.fleet()
        # What was, what waited, what was scheduled, and who was told to rest.
        self.assertEqual(call(f"/tasks/{done['task_id']}")["result"], done["result"])
        queue = call("/queues")["queues"]["query_queue"]
        self.assertEqual(len(queue["paused"]), 5, queue)
        self.assertGreaterEqual(queue["size"] + queue["in_flight"], len(waiting) + 1)
        call("/queues/query/resume", {})
        for task in [*waiting, later]:
            outcome = self.completed(call(f"/tasks/{task}?wait=40s"))
            self.assertIn("five seconds", outcome["result"]["answer"])
            self.assertEqual(outcome["retries"], 0)
        self.assertEqual([schedule["id"] for schedule in call("/schedules")["schedules"] if not schedule["id"].startswith("flotilla-")],
                         ["nightly"])
        eventually("everything is counted", lambda: call("/stats")["totals"]["total_tasks"]
                   >= stored["totals"]["total_tasks"] + len(waiting) + 2)
        # Ids go on, and new work is done.
        self.completed(call("/embed?wait=30s", {"document": {"id": "new", "text": "The tank takes two litres."}}))
        asked = self.completed(call("/query?wait=30s", {"query": "How much does the tank take?"}))
        self.assertEqual(asked["result"]["sources"], ["new"])
        asked = self.completed(call("/query?wait=30s", {"query": "How long does the warranty last?"}))
        self.assertEqual(asked["result"]["sources"], ["large"])

    def comes_back_in_place(self, site, backup):
        """Over streams that a fleet has made or changed since, once none runs."""
        stop = site.fleet()
        stray = self.completed(call("/embed?wait=30s", {"document": {"id": "stray", "text": "This came after the backup."}}))
        self.assertIn("still runs", script("restore.sh", "--replace", backup)[2])
        self.completed(call(f"/tasks/{stray['task_id']}"))
        stop()
        code, told, why = script("restore.sh", "--replace", backup)
        self.assertEqual((code, why), (0, ""), told)
        stop = site.fleet()
        self.assertNotIn("stray", [document["id"] for document in call("/documents")["documents"]])
        self.assertEqual(call(f"/tasks/{stray['task_id']}"), None)
        stop()

    def completed(self, answer):
        self.assertEqual((answer or {}).get("status"), "completed", answer)
        return answer


if __name__ == "__main__":
    sys.exit(unittest.main())
