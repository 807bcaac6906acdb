"""The worker's side: a task that does nothing, with its result in Redis."""

import os

from celery import Celery

url = f"redis://127.0.0.1:{os.environ['REDIS_PORT']}/0"
app = Celery("tasks", broker=url, backend=url)
app.conf.update(
    # At least once, as the others: the message goes when the task is done, not when it begins.
    task_acks_late=True,
    # A process fetches ahead what keeps it busy until the next look.
    worker_prefetch_multiplier=64,
    worker_send_task_events=False,
)


@app.task
def task(payload):
    return None
