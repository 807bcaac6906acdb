"""A driver: a program in one language that does with its client library what it is told, line by line."""

import base64
import json
import queue
import subprocess
import threading
import time

STARTED_WITHIN = 60
# Beyond what an operation may take by itself: the machine may be busy.
PATIENCE = 90


class DriverError(Exception):
    """The driver is broken, or its library failed in a way that it does not know."""


class Driver:
    def __init__(self, language, command, url, log):
        self.language = language
        self.process = subprocess.Popen([*command, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self.uses = self._answer(STARTED_WITHIN)["library"]
        except BaseException:
            self.process.kill()
            raise

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def _answer(self, seconds):
        try:
            line = self.lines.get(timeout=seconds)
        except queue.Empty:
            raise DriverError(f"the driver has not answered within {seconds} s") from None
        if line is None:
            raise DriverError(f"the driver ended, with status {self.process.wait()}")
        try:
            return json.loads(line)
        except ValueError:
            raise DriverError(f"the driver printed what is no JSON: {line[:200]!r}") from None

    def do(self, op, body=None, **arguments):
        request = {"op": op, **arguments}
        if body is not None:
            request["body"] = base64.b64encode(body).decode()
        if self.process.poll() is not None:
            raise DriverError(f"the driver has ended, with status {self.process.returncode}")
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        except OSError as error:
            raise DriverError(f"the driver takes nothing any more: {error}") from None
        answer = self._answer(PATIENCE + arguments.get("timeout_ms", 0) / 1000)
        if "error" in answer:
            raise DriverError(f"{op}: {answer['error']}")
        return answer

    def stop(self):
        """Its input ends, and so does a driver."""
        try:
            self.process.stdin.close()
        except OSError:
            pass
        deadline = time.monotonic() + 10
        while self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        ended_by_itself = self.process.poll() is not None
        if not ended_by_itself:
            self.process.kill()
        self.process.wait()
        return ended_by_itself
