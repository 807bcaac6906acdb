"""Pages that take their time: /page/NAME?seconds=2. They count who asks for them."""

import collections
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Website:
    def __init__(self, address):
        self.asked = collections.Counter()
        lock = threading.Lock()
        site = self

        class Page(BaseHTTPRequestHandler):
            def do_GET(self):
                url = urllib.parse.urlparse(self.path)
                if not url.path.startswith("/page/"):
                    self.send_error(404)
                    return
                with lock:
                    site.asked[url.path.removeprefix("/page/")] += 1
                time.sleep(float(urllib.parse.parse_qs(url.query)["seconds"][0]))
                text = (f"<html><head><title>{url.path}</title></head><body><article><h1>{url.path}</h1>"
                        + "<p>A page that took its time, as pages do, and has something to say at last.</p>" * 3
                        + "</article></body></html>").encode()
                self.send_response(200)
                self.send_header("content-type", "text/html")
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer((address, 0), Page)
        self.server.daemon_threads = True
        # Whoever asks is drained, or killed.
        self.server.handle_error = lambda *_: None
        self.port = self.server.server_port
        self.url = f"http://{address}:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
