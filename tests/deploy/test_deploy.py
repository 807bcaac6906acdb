"""The compose file and the image, as far as they can be held to what they say without an engine."""

import json
import pathlib
import re
import subprocess
import unittest

import composed
from composed import ROOT

TOOLS = (ROOT / "scripts" / "tool.sh").read_text()


def pinned(tool):
    return re.search(rf"^{tool}_version=(\S+)", TOOLS, re.MULTILINE).group(1)


def is_ours(service):
    return service["image"].startswith("flotilla:")


class Files(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.config = composed.compose(*composed.EVERYTHING)
        cls.usual = composed.compose()["services"]
        cls.services = cls.config["services"]

    def test_what_is_mounted_exists_and_cannot_be_changed(self):
        for name, service in self.services.items():
            for mount in service.get("volumes", []):
                if mount["type"] == "bind":
                    with self.subTest(service=name, source=mount["source"]):
                        self.assertTrue(pathlib.Path(mount["source"]).exists())
                        self.assertTrue(mount.get("read_only"))
                else:
                    self.assertIn(mount["source"], self.config["volumes"])

    def test_every_service_is_there_and_hardened(self):
        programs = {f"/usr/local/bin/{name}" for name in composed.programs()}
        started = [service["command"][0] for service in self.services.values() if is_ours(service)]
        self.assertLessEqual(set(started), programs)
        # All but the command line's own, and the reader of PDF files; each once. The bridge has nothing to
        # serve until somebody defines a category.
        others = {f"/usr/local/bin/{name}" for name in ("flotilla", "flotilla-pdf")}
        self.assertLessEqual(others, programs)
        self.assertEqual(sorted(started), sorted(programs - others))
        self.assertEqual(set(self.services) - set(self.usual), {"bridge"})
        for name, service in self.services.items():
            with self.subTest(service=name):
                self.assertTrue(service.get("read_only"))
                self.assertEqual(service["cap_drop"], ["ALL"])
                self.assertEqual(service["security_opt"], ["no-new-privileges:true"])
                self.assertNotIn("privileged", service)

    def test_ports_are_published_to_this_machine_alone(self):
        for name, service in self.services.items():
            for port in service.get("ports", []):
                self.assertEqual(port["host_ip"], "127.0.0.1", name)

    def test_settings_are_those_of_this_directory_and_not_of_the_image(self):
        for name, service in self.services.items():
            if is_ours(service):
                mounted = {mount["target"]: mount["source"] for mount in service["volumes"]}
                file = service["environment"]["FLOTILLA_CONFIG"]
                self.assertEqual(mounted.get(file), str(ROOT / "deploy" / "flotilla.toml"), name)

    def test_images_are_pinned_to_what_the_tests_run(self):
        images = {name: service["image"] for name, service in self.services.items()}
        self.assertEqual(images["nats"], f"nats:{pinned('nats_server')}-alpine")
        self.assertEqual(images["jaeger"], f"jaegertracing/jaeger:{pinned('jaeger')}")
        self.assertEqual(images["prometheus"], f"prom/prometheus:v{pinned('prometheus')}")
        for name, image in images.items():
            self.assertRegex(image, r":[\w.-]+$", name)
            self.assertNotRegex(image, r":latest$", name)

    def test_whoever_is_named_is_a_service_and_listens_there(self):
        """Every http://name:port and nats://name:port, wherever it is configured."""
        texts = {str(path.relative_to(ROOT)): path.read_text()
                 for directory in ("prometheus", "grafana", "jaeger", "nats")
                 for path in (ROOT / "deploy" / directory).rglob("*")
                 if path.suffix in (".yaml", ".yml", ".conf")}
        texts["compose.yaml"] = composed.COMPOSE.read_text()
        named = re.compile(r"\b(?:http|nats)://([a-z][a-z-]*):(\d+)")
        found = 0
        for file, text in texts.items():
            for host, port in named.findall(text):
                if host == "localhost":
                    continue
                found += 1
                with self.subTest(file=file, host=host, port=port):
                    self.assertIn(host, self.services)
                    self.assertIn(int(port), self.listens(host))
        self.assertGreater(found, 3)

    def test_prometheus_scrapes_every_service_of_ours(self):
        targets = (ROOT / "deploy/prometheus/targets/compose.yml").read_text()
        ours = {name for name, service in self.usual.items() if is_ours(service)}
        port = self.services["gateway"]["environment"]["FLOTILLA_OPS__LISTEN"].split(":")[1]
        self.assertEqual(set(re.findall(r"(?m)^ +- ([a-z]+:\d+)", targets)), {f"{name}:{port}" for name in ours})
        # Those that run only where somebody wants them, and would be missed elsewhere.
        others = {name for name, service in self.services.items() if is_ours(service)} - ours
        self.assertEqual(set(re.findall(r"(?m)^ +# - ([a-z]+:\d+)", targets)), {f"{name}:{port}" for name in others})

    def listens(self, name):
        """The ports of a service: in its own configuration, or in its environment."""
        service = self.services[name]
        text = " ".join(str(value) for value in (service.get("environment") or {}).values())
        text += " ".join(service.get("command") or [])
        for mount in service.get("volumes", []):
            source = pathlib.Path(mount["source"])
            if mount["type"] == "bind" and source.is_file():
                text += source.read_text()
        ports = {int(port) for port in re.findall(r"(?:\d|_PORT):-?(\d{4,5})\b", text)}
        # What these images listen on where nobody says otherwise.
        return ports | {"prometheus": {9090}, "grafana": {3000}}.get(name, set())


class Image(unittest.TestCase):
    def test_the_dockerfile_has_no_flaw_that_is_known(self):
        linted = subprocess.run(["hadolint", composed.DOCKERFILE], capture_output=True, text=True)
        self.assertEqual((linted.returncode, linted.stdout), (0, ""))

    def test_programs_need_no_library_that_the_image_lacks(self):
        for program in composed.programs():
            for library in composed.libraries(composed.PROGRAMS / program):
                name = pathlib.Path(library).name.split(".so")[0]
                with self.subTest(program=program, library=library):
                    self.assertIn(name, composed.DISTROLESS)

    def test_every_program_is_in_the_image(self):
        built, links = composed.image_programs()
        self.assertEqual(sorted(built + links), composed.programs())
        self.assertEqual(built, ["flotilla", "flotilla-pdf"])

    def test_it_runs_as_nobody_special(self):
        stage = composed.last_stage()
        self.assertIn(("USER", ["65532:65532"]), stage)
        self.assertEqual([name for name, _ in stage if name == "RUN"], [])

    def test_the_build_gets_all_it_reads_and_no_more(self):
        """By the lines of .dockerignore, the last one that matches counts."""
        lines = (ROOT / ".dockerignore").read_text().splitlines()
        rules = [line for line in lines if line and not line.startswith("#")]
        self.assertEqual(rules[0], "*")
        let_in = {rule[1:] for rule in rules if rule.startswith("!")}
        kept_out = [rule.removeprefix("**/") for rule in rules if rule.startswith("**/")]

        def is_in(path):
            parts = pathlib.PurePosixPath(path)
            inside = any(path == rule or path.startswith(f"{rule}/") for rule in let_in)
            return inside and not any(part.match(rule) for part in [parts, *parts.parents] for rule in kept_out)

        tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
        tracked = tracked.stdout.splitlines()
        for path in tracked:
            is_source = re.match(r"(common|services)/|Cargo\.(toml|lock)$", path)
            if is_source or re.match(r"tests/.*(Cargo\.toml|\.rs)$", path):
                self.assertTrue(is_in(path), path)
        for _, words in (step for step in composed.last_stage() if step[0] == "COPY"):
            if not words[0].startswith("--from"):
                self.assertTrue(is_in(words[0]), words)
        for path in (".git/config", "target/debug/flotilla", "tests/fixtures/server.key", "common/.env",
                     "README.md", ".flotilla/store", "services/a/b.creds"):
            self.assertFalse(is_in(path), path)


class Running(unittest.TestCase):
    def test_it_comes_up_works_and_goes_down(self):
        fleet = composed.Composed()
        codes = {}
        try:
            self.comes_up(fleet)
            self.is_confined(fleet)
            self.works(fleet)
            self.every_program_runs(fleet)
        finally:
            codes = fleet.stop()
        ours = {name: code for name, code in codes.items() if is_ours(fleet.config["services"][name])}
        self.assertEqual(ours, dict.fromkeys(ours, 0))

    def comes_up(self, fleet):
        services = fleet.config["services"]
        first = [name for name in ("nats", "jaeger", "prometheus") if name in services]
        for name in first:
            fleet.start(name)
        fleet.eventually("nats is healthy", lambda: fleet.ask("nats", 8222, "/healthz")[0] == 200)
        for name in services:
            if is_ours(services[name]) and "profiles" not in services[name]:
                fleet.start(name)
        fleet.eventually("the fleet is healthy", lambda: fleet.ask("gateway", 8080, "/api/hp/health")[0] == 200)

    def is_confined(self, fleet):
        """The runner itself: a check that any program passes would be none."""
        for name, process in fleet.processes.items():
            status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
            user, *_ = re.search(r"^Uid:\s+(.*)$", status, re.MULTILINE).group(1).split()
            facts = dict(re.findall(r"^(CapEff|NoNewPrivs):\s+(\w+)$", status, re.MULTILINE))
            with self.subTest(service=name):
                self.assertEqual((int(user), int(facts["CapEff"], 16), facts["NoNewPrivs"]), (composed.USER, 0, "1"))
                with self.assertRaisesRegex(OSError, "Read-only file system"):
                    (fleet.directory / name / "etc" / "new").touch()

    def works(self, fleet):
        status, page = fleet.ask("gateway", 8080, "/")
        self.assertEqual(status, 200)
        self.assertIn("<html", page)
        document = {"document": {"id": "manual", "text": "To reset the pump, hold the button for five seconds."}}
        status, done = fleet.ask("gateway", 8080, "/api/hp/embed?wait=20s", document)
        self.assertEqual((status, done["status"]), (200, "completed"), done)
        self.works_in_jaeger(fleet, done["task_id"])
        self.works_in_prometheus(fleet)

    def every_program_runs(self, fleet):
        """Those that do not run yet: the bridge, for a category of somebody's own; the command line, which is also
        how the gateway's health is checked; the reader of PDF files, which gets nothing in its environment."""
        fleet.start("bridge", {"FLOTILLA_CATEGORIES__TRANSLATE__SLOTS": "4"})
        fleet.eventually("the bridge is ready", lambda: fleet.ask("bridge", 9464, "/readyz")[0] == 200)
        gateway = fleet.config["services"]["gateway"]
        kind, *check = gateway["healthcheck"]["test"]
        self.assertEqual(kind, "CMD")
        checked = fleet.run("gateway", check)
        self.assertEqual((checked.returncode, checked.stderr), (0, b""))
        self.assertIn(b"embedding", checked.stdout)
        limits = dict.fromkeys(["pages_max", "inflated_bytes_max", "content_bytes_max", "links_max"], 10_000)
        limits |= {"memory_bytes_max": 1 << 29, "seconds_max": 10}
        read = fleet.run("scraping", ["/usr/local/bin/flotilla-pdf", json.dumps(limits)], b"%PDF-1.7 and nothing else")
        self.assertEqual((read.returncode, read.stderr), (0, b""))
        self.assertIn("Err", json.loads(read.stdout))

    def works_in_jaeger(self, fleet, task):
        path = f'/api/traces?service=flotilla-embedding&tags=%7B"messaging.message.id":"{task}"%7D'

        def spans():
            status, found = fleet.ask("jaeger", 16686, path)
            traces = found["data"] if status == 200 else []
            return traces and [span["operationName"] for span in traces[0]["spans"]]

        # Of two processes, each of which sends them when it likes.
        wanted = {"POST /api/hp/embed", "send tasks.embedding.normal", "result"}
        fleet.eventually("Jaeger has the task's whole trace", lambda: wanted <= set(spans() or []))

    def works_in_prometheus(self, fleet):
        ours = {name for name, service in fleet.config["services"].items()
                if is_ours(service) and "profiles" not in service}

        def up():
            _, found = fleet.ask("prometheus", 9090, "/api/v1/query?query=up==1")
            return {series["metric"]["instance"].split(":")[0] for series in found["data"]["result"]} if found else set()

        fleet.eventually("Prometheus reaches every service", lambda: up() == ours)


if __name__ == "__main__":
    unittest.main()
