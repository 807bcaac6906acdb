"""Holds what a fleet pushes by OTLP against what it serves.

pushed.py SCRAPED PUSHED: two Prometheus servers, of which one scrapes a fleet and the other takes what it
pushes. Both have to know the same series, and count the same.
"""

import json
import sys
import time
import urllib.parse
import urllib.request

SCRAPED, PUSHED = sys.argv[1], sys.argv[2]
PATIENCE_SECONDS = 60
OURS = '{__name__=~"(flotilla|process)_.*"}'
# Who tells it, which each way says in its own words.
WHO = ("namespace", "job", "instance", "otel_scope_name", "otel_scope_version", "otel_scope_schema_url")
# What each process tells has names of its own in OpenTelemetry's conventions.
RENAMED = {
    "process_cpu_time_seconds_total": "process_cpu_seconds_total",
    "process_memory_usage_bytes": "process_resident_memory_bytes",
    "process_unix_file_descriptor_count": "process_open_fds",
    "process_unix_file_descriptor_limit": "process_max_fds",
}
# Counted while it is looked at.
MOVING = ("process_", "flotilla_metric_exports_total", "flotilla_http_")


def ask(server, path, **parameters):
    url = f"{server}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=30) as response:
        return json.load(response)["data"]


def series(server):
    """The sum over all processes, by name and labels."""
    known = {}
    for sample in ask(server, "query", query=OURS)["result"]:
        labels = {name: value for name, value in sample["metric"].items() if name not in WHO}
        labels["__name__"] = RENAMED.get(labels["__name__"], labels["__name__"])
        key = tuple(sorted(labels.items()))
        known[key] = known.get(key, 0.0) + float(sample["value"][1])
    return known


def counts(known):
    """What only grows, and rests in a fleet that has nothing to do."""
    def is_count(key):
        name = dict(key)["__name__"]
        return name.endswith(("_total", "_bucket", "_count", "_sum")) and not name.startswith(MOVING)

    return {key: number for key, number in known.items() if is_count(key)}


def difference(scraped, pushed):
    for key in sorted(scraped.keys() ^ pushed.keys()):
        return f"only {'scraped' if key in scraped else 'pushed'}: {dict(key)}"
    scraped, pushed = counts(scraped), counts(pushed)
    if not scraped:
        return "nothing is counted"
    for key, number in scraped.items():
        if pushed[key] != number:
            return f"{number} scraped, {pushed[key]} pushed: {dict(key)}"
    return None


def main():
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        scraped, pushed = series(SCRAPED), series(PUSHED)
        found = difference(scraped, pushed)
        if not found:
            break
        if time.monotonic() > deadline:
            sys.exit(f"what is pushed does not become what is scraped: {found}")
        time.sleep(1)
    print(f"{len(scraped)} series are pushed as they are scraped")


main()
