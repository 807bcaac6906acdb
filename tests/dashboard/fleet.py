"""A fleet of its own for the tests of the dashboard, and a small web site for it to scrape."""

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

START_TIME_MAX = 60
PAGES = {
    "/pump": (
        "Heron garden pump: user manual",
        "The suction hose must be airtight and at least 25 mm wide.",
        "The warranty of the Heron pump lasts 36 months from the day of purchase.",
    ),
    "/app": (
        "Heron app: release notes",
        "Version 4.2 of the app shows the water level of every connected cistern.",
        "Push messages need Android 12 or newer.",
    ),
}


class Site(BaseHTTPRequestHandler):
    """The pages above; everything else is not found."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        page = PAGES.get(self.path)
        self.send_response(200 if page else 404)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.end_headers()
        if page:
            title, *paragraphs = page
            body = "".join(f"<p>{text}</p>" for text in paragraphs)
            self.wfile.write(f"<html><head><title>{title}</title></head><body><main><h1>{title}</h1>{body}</main></body></html>".encode())


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Fleet:
    """`flotilla up` with a nats-server and a data directory of its own."""

    def __init__(self):
        self.site = ThreadingHTTPServer(("127.0.0.1", 0), Site)
        threading.Thread(target=self.site.serve_forever, daemon=True).start()
        self.site_url = f"http://127.0.0.1:{self.site.server_port}"
        self.directory = tempfile.TemporaryDirectory(prefix="flotilla-dashboard-")
        self.url = f"http://127.0.0.1:{free_port()}"
        config = Path(self.directory.name, "flotilla.toml")
        config.write_text('[scraping]\nallow_networks = ["127.0.0.0/8"]\n[browser]\nenabled = false\n')
        self.log = open(Path(self.directory.name, "log"), "wb")
        self.process = subprocess.Popen(
            [os.environ["FLOTILLA_BIN"], "--config", str(config), "up", "--listen", self.url.removeprefix("http://"),
             "--nats-port", str(free_port()), "--data-dir", str(Path(self.directory.name, "data"))],
            stdout=self.log, stderr=self.log)
        self.wait_until(lambda: self.get("/health").get("healthy"), START_TIME_MAX, "the fleet does not start")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)
        self.site.shutdown()
        self.log.close()
        self.directory.cleanup()

    def request(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/api/hp{path}", data=data, method=method, headers={"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def get(self, path):
        return self.request("GET", path)

    def post(self, path, body=None):
        return self.request("POST", path, body or {})

    def wait_until(self, holds, seconds, otherwise):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"the fleet has ended:\n{self.told()}"
            try:
                if holds():
                    return
            except (urllib.error.URLError, ConnectionError):
                pass
            time.sleep(0.1)
        raise AssertionError(f"{otherwise}:\n{self.told()}")

    def told(self):
        self.log.flush()
        text = Path(self.log.name).read_text(errors="replace")
        return re.sub(r"\x1b\[[0-9;]*m", "", text)[-4_000:]
