"""The handlers of the examples, each as the only one of its category: what a task sees of them."""

import json
import os
import queue
import subprocess
import threading
import time

WITHIN = 60


class Handler:
    """The program, and what it prints."""

    def __init__(self, command, fleet):
        environment = {**os.environ, "NATS_URL": fleet.nats_url}
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.lines = queue.Queue()
        threading.Thread(target=lambda: [self.lines.put(line.strip()) for line in self.process.stdout], daemon=True).start()

    def prints(self, wanted):
        try:
            line = self.lines.get(timeout=WITHIN)
        except queue.Empty:
            line = "nothing"
        assert line == wanted, f"it printed {line!r}, and not {wanted!r}"

    def stop(self):
        self.process.kill()
        self.process.wait()


def submit(fleet, task, wait="60s"):
    return fleet.post(f"/categories/translate/tasks?wait={wait}", task)


def expect(task, **wanted):
    found = {name: task.get(name) for name in wanted}
    assert found == wanted, f"expected {wanted}, and found {json.dumps(task)[:800]}"


def eventually(what, is_so):
    deadline = time.monotonic() + WITHIN
    while not is_so():
        assert time.monotonic() < deadline, f"never came true: {what}"
        time.sleep(0.05)


def it_answers(fleet, _handler):
    expect(submit(fleet, {"text": "one two"}), status="completed", result={"text": "eno owt"}, retries=0)


def it_asks_for_another_attempt(fleet, _handler):
    expect(submit(fleet, {"text": "ab", "flaky": True}), status="completed", result={"text": "ba"}, retries=1)


def it_refuses_what_it_cannot_read(fleet, _handler):
    task = submit(fleet, ["no", "text"])
    expect(task, status="failed", retries=0)
    expect(task["error"], code="invalid_payload")


def its_heartbeat_keeps_the_task(fleet, _handler):
    # Three times the silence that the fleet bears, in a single word.
    expect(submit(fleet, {"text": "long", "seconds": 3}), status="completed", retries=0)


def it_tells_how_far_it_is_and_stops(fleet, handler):
    task = submit(fleet, {"text": "word " * 1_000, "seconds": 0.3}, wait="0s")["task_id"]
    eventually("the progress shows", lambda: (fleet.get(f"/tasks/{task}").get("progress") or {}).get("percent", 0) > 0)
    expect(fleet.post(f"/tasks/{task}/cancel", {}), status="cancelled")
    handler.prints(f"stopped {task}")


CASES = [it_answers, it_asks_for_another_attempt, it_refuses_what_it_cannot_read, its_heartbeat_keeps_the_task, it_tells_how_far_it_is_and_stops]


def run(language, command, fleet, results):
    handler = Handler(command, fleet)
    try:
        for case in CASES:
            began, why = time.monotonic(), None
            try:
                case(fleet, handler)
            except (AssertionError, OSError) as error:
                why = str(error)
            results.add(language, f"the handler: {case.__name__.replace('_', ' ')}", why, time.monotonic() - began)
    finally:
        handler.stop()
