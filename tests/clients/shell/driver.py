"""The conformance driver of the nats command line: does what it is told, a line of JSON each (see
../README.md), by running `nats` as a shell would. Nothing here speaks to the server by itself.
"""

import base64
import json
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

URL = sys.argv[1]
READY_WITHIN = 30
BURST_WITHIN = 60
STORED = re.compile(r"Stored in Stream: (\S+) Sequence: ([\d,]+)(.*)")
API_ERROR = re.compile(r"\((\d{5})\)")


class Refused(Exception):
    def __init__(self, kind, message, code=None):
        super().__init__(message)
        self.answer = {"refused": {"kind": kind, "message": message, **({"code": code} if code else {})}}


def nats(*words, body=None, timeout="30s"):
    """Runs one command; what it prints and what it says."""
    command = ["nats", "--server", URL, "--timeout", timeout, *words]
    done = subprocess.run(command, input=body, capture_output=True, check=False)
    said = done.stderr.decode(errors="replace")
    if "no responders" in said.lower():
        raise Refused("no_responders", said.strip())
    if "maximum payload exceeded" in said:
        raise Refused("too_large", said.strip())
    if done.returncode:
        if found := API_ERROR.search(said):
            raise Refused("api", said.strip(), int(found[1]))
        raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}: {said.strip()}")
    return done.stdout.decode(errors="replace"), said


def headers_of(request):
    return [word for name, value in (request.get("headers") or {}).items() for word in ("-H", f"{name}:{value}")]


def body_of(request):
    return base64.b64decode(request.get("body", ""))


def plain(headers):
    return {name: values[0] for name, values in (headers or {}).items()}


class Subscription:
    """`nats sub` in the background: its messages come as JSON, with a zero byte after each."""

    def __init__(self, subject):
        self.messages = queue.Queue()
        # Subscribed to after the other: what comes there shows that both are.
        self.ready = f"_INBOX.ready.{uuid.uuid4().hex}"
        command = ["nats", "--server", URL, "sub", subject, self.ready, "--dump=-"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.is_ready = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()
        deadline = time.monotonic() + READY_WITHIN
        while not self.is_ready.wait(0.02):
            if time.monotonic() > deadline:
                raise RuntimeError(f"nats sub {subject} does not listen after {READY_WITHIN} s")
            nats("pub", "--quiet", self.ready, "")

    def _read(self):
        rest = b""
        while piece := self.process.stdout.read1(1 << 20):
            *messages, rest = (rest + piece).split(b"\0")
            for text in messages:
                message = json.loads(text)
                if message["Subject"] == self.ready:
                    self.is_ready.set()
                else:
                    self.messages.put({"subject": message["Subject"], "headers": plain(message["Header"]), "body": message["Data"] or ""})

    def take(self, count, seconds):
        messages = []
        try:
            messages.append(self.messages.get(timeout=seconds))
            while len(messages) < count:
                messages.append(self.messages.get_nowait())
        except queue.Empty:
            pass
        return messages

    def stop(self):
        self.process.kill()
        self.process.wait()


def ask(subject, body, headers=(), timeout="30s"):
    """`nats req`: the answer's body is on its output, in base64 by our wish, its headers are in its log."""
    body_or_none = ["--force-stdin"] if body else [""]
    printed, said = nats("req", "--no-templates", "--translate", "base64", *headers, subject, *body_or_none, body=body or None, timeout=timeout)
    _, received, log = said.partition("Received with rtt")
    if not received:
        raise Refused("timeout", f"no answer within {timeout}")
    lines = [line.split(" ", 1)[1] for line in log.splitlines()[1:] if ": " in line]
    found = dict(line.split(": ", 1) for line in lines)
    return {"subject": subject, "headers": found, "body": "".join(printed.split())}


class Driver:
    def __init__(self):
        self.subscriptions = {}

    def publish(self, request):
        _, said = nats("pub", "--jetstream", "--no-templates", "--force-stdin", *headers_of(request), request["subject"], body=body_of(request))
        stream, sequence, more = STORED.search(said).groups()
        return {"ack": {"stream": stream, "seq": int(sequence.replace(",", "")), "duplicate": "Duplicate: true" in more}}

    def send(self, request):
        nats("pub", "--no-templates", "--force-stdin", *headers_of(request), request["subject"], body=body_of(request))
        return {}

    def burst(self, request):
        # With a subject to reply to, the server acknowledges there, and `nats pub` waits for nothing.
        acks = f"_INBOX.acks.{uuid.uuid4().hex}"
        subscription = Subscription(acks)
        # The command counts from 1, and the suite from wherever it likes.
        text = request["text"].replace("{n}", "{{Count}}")
        nats("pub", "--quiet", "--count", str(request["count"]), "--reply", acks, *headers_of(request), request["subject"], text)
        deadline = time.monotonic() + BURST_WITHIN
        sequences = []
        while len(sequences) < request["count"] and time.monotonic() < deadline:
            for message in subscription.take(1_000, 1):
                ack = json.loads(base64.b64decode(message["body"]))
                if "error" in ack:
                    raise Refused("api", ack["error"]["description"], ack["error"]["err_code"])
                sequences.append(ack["seq"])
        subscription.stop()
        return {"sequences": sequences}

    def request(self, request):
        return {"message": ask(request["subject"], body_of(request), headers_of(request), f"{request['timeout_ms']}ms")}

    def subscribe(self, request):
        self.subscriptions[request["name"]] = Subscription(request["subject"])
        return {}

    def receive(self, request):
        subscription = self.subscriptions[request["name"]]
        return {"messages": subscription.take(request["max"], request["timeout_ms"] / 1000)}

    def get(self, request):
        message = ask(f"$JS.API.DIRECT.GET.{request['stream']}.{request['subject']}", b"")
        if message["headers"].get("Status") == "404":
            raise Refused("not_found", message["headers"]["Description"])
        return {"message": {**message, "subject": message["headers"]["Nats-Subject"]}}

    def put_object(self, request):
        with tempfile.NamedTemporaryFile() as file:
            file.write(body_of(request))
            file.flush()
            nats("object", "put", "--force", "--no-progress", "--name", request["name"], request["bucket"], file.name)
        return {}

    def get_object(self, request):
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory, "object")
            nats("object", "get", "--force", "--no-progress", "--output", str(file), request["bucket"], request["name"])
            return {"body": base64.b64encode(file.read_bytes()).decode()}

    def do(self, request):
        try:
            return getattr(self, request["op"])(request)
        except Refused as refused:
            return refused.answer
        except Exception as error:  # whatever it is, it is told and fails the case
            return {"error": f"{type(error).__name__}: {error}"}

    def stop(self):
        for subscription in self.subscriptions.values():
            subscription.stop()


def main():
    # Nobody's own contexts, which may name another server.
    with tempfile.TemporaryDirectory() as home:
        os.environ["XDG_CONFIG_HOME"] = home
        version = subprocess.run(["nats", "--version"], capture_output=True, text=True, check=True).stdout.strip()
        print(json.dumps({"library": f"nats command line {version}"}), flush=True)
        driver = Driver()
        try:
            for line in sys.stdin:
                print(json.dumps(driver.do(json.loads(line))), flush=True)
        finally:
            driver.stop()


main()
