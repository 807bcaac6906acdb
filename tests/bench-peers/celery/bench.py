"""Celery: bench.py REDIS_PORT TASKS CONCURRENCY ROUND_TRIPS; prints one line of JSON.

The concurrency is that of processes, as many as there are cores: a task that does nothing waits for
nothing, and threads share one interpreter.
"""

import json
import os
import subprocess
import sys
import time

port, tasks, _, round_trips = (int(argument) for argument in sys.argv[1:])
os.environ["REDIS_PORT"] = str(port)

from tasks import app, task  # noqa: E402 (it reads the port)

PAYLOAD = {"query": "How do I reset the device to its factory settings?", "brand": "acme"}



def stored(results):
    return sum(1 for _ in results.scan_iter("celery-task-meta-*", count=10_000))


worker = subprocess.Popen(
    [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--pool", "prefork",
     "--concurrency", str(os.cpu_count()), "--loglevel", "ERROR",
     "--without-gossip", "--without-mingle", "--without-heartbeat"],
    stdout=subprocess.DEVNULL,
)
try:
    task.delay(PAYLOAD).get(timeout=60)  # it has started
    results = app.backend.client
    began = time.perf_counter()
    with app.producer_pool.acquire(block=True) as producer:
        for _ in range(tasks):
            task.apply_async((PAYLOAD,), producer=producer)
    # The count of all keys costs nothing, and tells when it is worth to count those of results.
    while results.dbsize() <= tasks or stored(results) <= tasks:
        time.sleep(0.005)
    seconds = time.perf_counter() - began

    trips = []
    for _ in range(round_trips):
        sent = time.perf_counter()
        task.delay(PAYLOAD).get(timeout=60)
        trips.append((time.perf_counter() - sent) * 1e3)
finally:
    worker.terminate()
    worker.wait()
trips.sort()
at = lambda q: trips[min(len(trips) - 1, int(q * len(trips)))]  # noqa: E731
print(json.dumps({"tasks_per_second": tasks / seconds, "p50_ms": at(0.5), "p99_ms": at(0.99)}))
