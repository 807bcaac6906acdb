"""`flotilla up` with a nats-server, a data directory and ports of its own."""

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

STARTED_WITHIN = 90
# Nobody serves the categories batch and maintenance, whose streams are made all the same: what is
# sent there waits, so that there is something to find and to cancel, and a queue to fill.
SETTINGS = {
    "fleet.categories": '["scraping","query","embedding","translate"]',
    # A category that the examples serve.
    "categories.translate.slots": "2",
    "bridge.silence_max.translate": "1s",
    "streams.tasks_bytes_max": "16777216",
    "scraping.allow_networks": '["127.0.0.0/8"]',
    "scraping.requests_per_second_per_host": "1000.0",
    "browser.enabled": "false",
    "log.level": "info,async_nats=warn",
}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def environment(collector):
    """The caller's, without what would make this fleet another one; with traces on."""
    kept = {name: value for name, value in os.environ.items()
            if name == "FLOTILLA_NATS_SERVER" or not name.startswith(("FLOTILLA_", "OTEL_", "NATS_"))}
    return {**kept, "OTEL_EXPORTER_OTLP_ENDPOINT": collector, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}


class Fleet:
    def __init__(self, program, collector):
        self.directory = tempfile.TemporaryDirectory(prefix="flotilla-clients-")
        self.path = Path(self.directory.name)
        gateway, nats = f"127.0.0.1:{free_port()}", free_port()
        self.nats_url, self.http_url = f"nats://127.0.0.1:{nats}", f"http://{gateway}/api/hp"
        settings = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]
        with open(self.path / "log", "wb") as log:
            self.process = subprocess.Popen(
                [program, "up", "--listen", gateway, "--nats-port", str(nats), "--data-dir", str(self.path / "data"), *settings],
                env=environment(collector), stdout=log, stderr=log)
        try:
            self.wait_until_healthy()
        except BaseException:
            self.stop()
            raise

    def wait_until_healthy(self):
        deadline = time.monotonic() + STARTED_WITHIN
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"the fleet has ended:\n{self.told()}")
            try:
                with urllib.request.urlopen(f"{self.http_url}/health", timeout=5) as answer:
                    if json.load(answer)["healthy"]:
                        return
            except (urllib.error.URLError, OSError):
                pass
            if time.monotonic() > deadline:
                raise RuntimeError(f"the fleet is not healthy after {STARTED_WITHIN} s:\n{self.told()}")
            time.sleep(0.1)

    def post(self, path, body):
        request = urllib.request.Request(f"{self.http_url}{path}", data=json.dumps(body).encode(), headers={"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=90) as answer:
            return json.load(answer)

    def get(self, path):
        with urllib.request.urlopen(f"{self.http_url}{path}", timeout=30) as answer:
            return json.load(answer)

    def read(self, url, question):
        """Has a page scraped, and waits until it answers a question: indexing is a task of its own."""
        self.post("/scrape?wait=30s", {"url": url})
        deadline = time.monotonic() + STARTED_WITHIN
        while not self.post("/query", {"query": question}).get("result", {}).get("found"):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{url} is not indexed after {STARTED_WITHIN} s:\n{self.told()}")
            time.sleep(0.1)

    def is_alive(self):
        return self.process.poll() is None

    def told(self):
        text = (self.path / "log").read_text(errors="replace")
        return re.sub(r"\x1b\[[0-9;]*m", "", text)[-4_000:]

    def stop(self):
        """Whether it drained and ended as it should."""
        if self.is_alive():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.directory.cleanup()
        return self.process.returncode == 0
