"""A small web site for the fleet to scrape: pages that are there, slow, broken, or large."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MANUAL = """<html><head><title>Heron garden pump: manual</title></head><body><main>
<h1>Heron garden pump: manual</h1>
<p>The suction hose must be airtight and at least 25 mm wide.</p>
<p>The warranty of the Heron pump lasts 36 months from the day of purchase.</p>
</main></body></html>"""
SLOW_SECONDS = 1.5
# As text within the limit of a page, as JSON more than fits into a message: every sign becomes two.
QUOTES, PARAGRAPHS = '"' * 999, 600
LINKS, LINK_BYTES = 100, 900


class Site(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Pages)
        self.seen = set()
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def is_first(self, path):
        is_first = path not in self.seen
        self.seen.add(path)
        return is_first


class Pages(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        path = self.path.split("?")[0]
        if path == "/manual":
            self.answer(200, MANUAL)
        elif path == "/slow":
            time.sleep(SLOW_SECONDS)
            self.answer(200, MANUAL)
        elif path == "/broken":
            self.answer(500, "out of order")
        elif path == "/flaky":
            # Once for every query: the first request finds it out of order.
            if self.server.is_first(self.path):
                self.answer(503, "come back", [("retry-after", "1")])
            else:
                self.answer(200, MANUAL)
        elif path == "/quotes":
            links = "".join(f'<p><a href="/{n}?{"x" * LINK_BYTES}">{n}</a></p>' for n in range(LINKS))
            text = f"<p>{QUOTES}</p>" * PARAGRAPHS
            self.answer(200, f"<html><head><title>Quotes</title></head><body><main>{text}{links}</main></body></html>")
        else:
            self.answer(404, "not found")

    def do_POST(self):
        # The collector that the fleet's traces go to: with one they are on.
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.answer(200 if self.path == "/v1/traces" else 404, "")

    def answer(self, status, text, headers=()):
        body = text.encode()
        try:
            self.send_response(status)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.send_header("content-length", str(len(body)))
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            pass  # whoever asked has gone, as with a task that ran out of time
