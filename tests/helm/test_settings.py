"""flotilla.toml and nats.conf are read by the real programs: a fleet starts with what each example gives it."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
import tomllib
import unittest

from chart import BUILT_IN, EXAMPLES, ROOT, example, one, rendered, settings

PROGRAM = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "flotilla"
SERVER = os.environ.get("FLOTILLA_NATS_SERVER", "nats-server")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Settings(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.home = pathlib.Path(cls.directory.name)
        cls.port = free_port()
        conf = cls.home / "nats.conf"
        conf.write_text(f'jetstream {{ store_dir: "{cls.home}/store", max_file_store: 20GB }}\n')
        cls.log = (cls.home / "nats.log").open("w")
        cls.server = subprocess.Popen([SERVER, "-c", str(conf), "-a", "127.0.0.1", "-p", str(cls.port)],
                                      stdout=cls.log, stderr=cls.log)

    @classmethod
    def tearDownClass(cls):
        cls.server.terminate()
        cls.server.wait()
        cls.log.close()
        cls.directory.cleanup()

    def start(self, name, ops="127.0.0.1:0"):
        """The fleet in one process with an example's settings, but for where things are."""
        secrets = self.home / name
        text = settings(example(name))
        for path in re.findall(r'"(/run/secrets/[^"]+)"', text):
            file = secrets / path.removeprefix("/run/secrets/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("secret")
            if file.name == "keys.json":
                file.unlink()
                subprocess.run([PROGRAM, "keys", "new", "ci", "--file", file, "--scope", "read"], check=True, capture_output=True)
        text = text.replace("/run/secrets/", f"{secrets}/").replace("/var/lib/flotilla/", f"{secrets}/")
        # The broker is another here, and knows nobody by name.
        text = re.sub(r"^(nkey_seed_file|credentials_file|tls_ca_file) = .*\n", "", text, flags=re.M)
        file = self.home / f"{name}.toml"
        file.write_text(text)
        elsewhere = [f"nats.url=nats://127.0.0.1:{self.port}", "gateway.listen=127.0.0.1:0", f"ops.listen={ops}",
                     "streams.replicas=1", "knowledge.embedder=none", "chromadb.url=http://127.0.0.1:1"]
        command = [PROGRAM, "--config", file, *[word for value in elsewhere for word in ("--set", value)], "up"]
        fleet = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        # Not for as long as a test may run.
        timer = threading.Timer(180, fleet.kill)
        timer.start()
        self.addCleanup(timer.cancel)
        return fleet

    def test_a_fleet_starts_with_the_settings_of_each_example(self):
        for name in EXAMPLES:
            with self.subTest(name):
                fleet = self.start(name)
                said = []
                for line in fleet.stdout:
                    said.append(line)
                    if line.startswith("The fleet is up"):
                        break
                else:
                    fleet.communicate()
                    self.fail("".join(said))
                fleet.send_signal(signal.SIGTERM)
                rest = fleet.communicate(timeout=60)[0]
                self.assertEqual(fleet.returncode, 0, "".join(said) + rest)

    def test_values_arrive(self):
        read = tomllib.loads(settings(example("sixth-category")))
        self.assertEqual(read["fleet"]["categories"], sorted([*BUILT_IN, "translate", "invoice_mail"]))
        self.assertEqual(read["categories"]["translate"], {"slots": 8, "timeout": "2m", "priority": "high"})
        self.assertEqual(read["categories"]["invoice_mail"]["id_prefix"], "invoice")
        self.assertEqual(read["bridge"]["silence_max"], {"invoice_mail": "5m"})
        self.assertEqual(tomllib.loads(settings(example("production")))["worker"]["reserved"], {"query": 2})
        keda = tomllib.loads(settings(example("keda")))
        self.assertEqual(keda["fleet"]["on_demand"], ["batch", "embedding"])
        given = {"scraping": {"requests_per_second_per_host": 0.5, "html_bytes_max": 5000000, "robots": False},
                 "log": {"level": 'info,"x"=warn'}}
        read = tomllib.loads(settings(rendered({"config": given})))
        self.assertEqual({section: read[section] for section in given}, given)

    def test_three_servers_mean_three_copies(self):
        read = tomllib.loads(settings(rendered({"nats": {"replicas": 3}})))
        self.assertEqual(read["streams"]["replicas"], 3)

    def test_the_broker_reads_its_configuration(self):
        users, tls = self.home / "users", self.home / "tls"
        users.mkdir()
        tls.mkdir()
        subprocess.run([PROGRAM, "nats", "keys", "--dir", users], check=True, capture_output=True)
        rules = subprocess.run([PROGRAM, "nats", "config"], check=True, capture_output=True, text=True).stdout
        (users / "authorization.conf").write_text(rules)
        subprocess.run([ROOT / "deploy" / "nats" / "certificates.sh", "fleet-flotilla-nats"], cwd=tls, check=True, capture_output=True)
        for made, key in [("ca.pem", "ca.crt"), ("server.pem", "tls.crt"), ("server.key", "tls.key")]:
            (tls / made).rename(tls / key)
        secured = one(example("production"), "ConfigMap", "fleet-flotilla-nats")["data"]["nats.conf"]
        self.assertIn("verify: true", secured)
        plain = one(rendered({"nats": {"syncInterval": "2m"}}), "ConfigMap", "fleet-flotilla-nats")["data"]["nats.conf"]
        self.assertIn('sync_interval: "2m"', plain)
        for text in (secured, plain):
            conf = self.home / "ours.conf"
            conf.write_text(text.replace("/etc/nats-tls", str(tls)))
            # The server's own reader, which looks for all that is named.
            done = subprocess.run([SERVER, "-t", "-c", conf], capture_output=True, text=True, env=os.environ | {"POD_NAME": "one"})
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_fleets_own_figure_is_what_autoscalers_ask_for(self):
        ops = f"127.0.0.1:{free_port()}"
        fleet = self.start("keda", ops)
        try:
            wanted = [thing["spec"]["triggers"][0]["metadata"] for thing in example("keda") if thing["kind"] == "ScaledObject"]
            self.assertEqual(len(wanted), 4)
            deadline = time.monotonic() + 60
            while True:
                metrics = subprocess.run(["curl", "--silent", "--fail", f"http://{ops}/metrics"], capture_output=True, text=True).stdout
                if "flotilla_fleet_wanted_slots{" in metrics or time.monotonic() > deadline:
                    break
                time.sleep(0.2)
            for metadata in wanted:
                self.assertRegex(metrics, rf"(?m)^{re.escape(metadata['valueLocation'])} \d+$")
                # A whole target that is at least one task, and no more than one process takes.
                self.assertGreaterEqual(int(metadata["targetValue"]), 1)
        finally:
            fleet.send_signal(signal.SIGTERM)
            fleet.communicate(timeout=60)


if __name__ == "__main__":
    unittest.main()
