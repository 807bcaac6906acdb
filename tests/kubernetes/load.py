"""A load of tasks from outside, published over NATS and submitted through the gateway's Service, and what has
become of each."""

import collections
import json
import random
import threading
import time
import urllib.request

from processes import eventually

ENDS = ("completed", "failed", "cancelled", "expired")


class Load:
    """`gateway` is a URL. Every so many a task takes `long` seconds, the others at most two."""

    def __init__(self, nats, website, gateway, long=12, pause=0.25):
        self.nats, self.website, self.gateway, self.long, self.pause = nats, website, gateway, long, pause
        self.accepted = {}
        self.refused = []
        self.outcomes = collections.defaultdict(list)
        self.handed_back = set()
        self.random = random.Random(8)
        self.number = 0
        self.lock = threading.Lock()
        self.stopped = threading.Event()
        nats.subscribe("outcomes.scraping.*", self.pushed)
        self.threads = [threading.Thread(target=self.repeat, args=each, daemon=True)
                        for each in ((self.publish, pause), (self.submit, pause * 3))]
        for thread in self.threads:
            thread.start()

    def pushed(self, _, body, __):
        record = json.loads(body)
        if record["status"] in ENDS:
            self.outcomes[record["task_id"]].append(record["status"])
        elif record["status"] == "interrupted":
            self.handed_back.add(record["task_id"])

    def page(self):
        with self.lock:
            self.number += 1
            seconds = self.long if self.number % 8 == 0 else round(self.random.uniform(0.1, 2), 2)
            return str(self.number), seconds, {"url": f"{self.website.url}/page/{self.number}?seconds={seconds}"}

    def repeat(self, step, pause):
        while not self.stopped.wait(pause):
            step()

    def publish(self):
        name, seconds, payload = self.page()
        ack = self.nats.publish("tasks.scraping.normal", payload)
        self.accepted[f"scrape_{ack['seq']}"] = (name, seconds)

    def submit(self):
        """As a client without a connection of its own: each request anew through the Service."""
        name, seconds, payload = self.page()
        request = urllib.request.Request(f"{self.gateway}/api/hp/scrape", json.dumps(payload).encode(),
                                         {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=15) as answer:
                self.accepted[json.load(answer)["task_id"]] = (name, seconds)
        except (OSError, ValueError, KeyError) as error:
            self.refused.append(f"{time.strftime('%H:%M:%S')} {error}")

    def until_accepted(self, count):
        """Until so many more tasks have been taken."""
        wanted = len(self.accepted) + count
        eventually(f"{count} more tasks are accepted", lambda: len(self.accepted) >= wanted)

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def waiting(self):
        return [task for task in self.accepted if not self.outcomes.get(task)]
