"""As much of a NATS client as the tests need: publishes with their acknowledgement, subscriptions, and the
record of a task."""

import json
import queue
import socket
import threading


class Nats:
    def __init__(self, host, port=4222):
        self.socket = socket.create_connection((host, port), timeout=30)
        self.socket.settimeout(None)
        self.reader = self.socket.makefile("rb")
        self.lock = threading.Lock()
        self.callbacks, self.answers = {}, {}
        self.next_id = 0
        self.reader.readline()
        self.send(b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nPING\r\n')
        threading.Thread(target=self.read, daemon=True).start()
        self.subscribe("_INBOX.test.*", self.answer)

    def send(self, data):
        with self.lock:
            self.socket.sendall(data)

    def subscribe(self, subject, callback):
        self.next_id += 1
        self.callbacks[str(self.next_id)] = callback
        self.send(f"SUB {subject} {self.next_id}\r\n".encode())

    def read(self):
        for line in iter(self.reader.readline, b""):
            words = line.decode().split()
            if words[0] == "PING":
                self.send(b"PONG\r\n")
            elif words[0] in ("MSG", "HMSG"):
                head = int(words[-2]) if words[0] == "HMSG" else 0
                content = self.reader.read(int(words[-1]) + 2)[:-2]
                self.callbacks[words[2]](words[1], content[head:], content[:head].decode())

    def answer(self, subject, body, head):
        waiting = self.answers.pop(subject, None)
        if waiting:
            waiting.put((body, head))

    def request(self, subject, body=b"", seconds=30):
        """The answer: its body, and its headers as text."""
        with self.lock:
            self.next_id += 1
            inbox = f"_INBOX.test.{self.next_id}"
            waiting = self.answers[inbox] = queue.Queue()
        self.send(f"PUB {subject} {inbox} {len(body)}\r\n".encode() + body + b"\r\n")
        return waiting.get(timeout=seconds)

    def publish(self, subject, payload):
        """A task, once it is stored; what the broker says of it."""
        body, head = self.request(subject, json.dumps(payload).encode())
        told = json.loads(body or b"{}")
        assert "seq" in told, f"{subject}: {head}{told}"
        return told

    def record(self, category, task):
        """The record of a task, or None."""
        body, head = self.request(f"$JS.API.DIRECT.GET.RESULTS.results.{category}.{task}")
        return None if head.startswith("NATS/1.0 404") else json.loads(body)

    def messages(self, stream):
        """How many messages a stream has."""
        return json.loads(self.request(f"$JS.API.STREAM.INFO.{stream}")[0])["state"]["messages"]
