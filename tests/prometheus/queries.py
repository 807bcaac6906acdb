"""Asks a Prometheus that scrapes a fleet everything that Grafana and the rules ask it.

queries.py PROMETHEUS GATEWAY PROCESSES: gives the fleet something to do, waits until the numbers of
Prometheus are those of the gateway, and then runs each query of deploy/grafana/dashboards. A query
that Prometheus refuses, or that finds nothing although there is something, is an error.
"""

import json
import pathlib
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

PROMETHEUS, GATEWAY, PROCESSES = sys.argv[1], sys.argv[2], int(sys.argv[3])
DASHBOARDS = pathlib.Path(__file__).parents[2] / "deploy/grafana/dashboards"
VARIABLES = {"$__rate_interval": "1m", "$namespace": "tests", "$category": "query|scraping", "$route": ".*"}
# What a fleet that has nothing to complain about has no series of.
QUIET = ("flotilla_trace_spans_total",)
PATIENCE_SECONDS = 120


def answer(url, body=None):
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(url, body and json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)
    except urllib.error.HTTPError as refused:
        return json.load(refused)


def ask(path, **parameters):
    said = answer(f"{PROMETHEUS}/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
    if said["status"] != "success":
        sys.exit(f"Prometheus refuses {parameters or path}: {said['error']}")
    return said["data"]


def number(expression):
    found = ask("query", query=expression)["result"]
    return float(found[0]["value"][1]) if found else None


def eventually(what, is_so):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            sys.exit(f"never came true: {what}")
        time.sleep(1)


def work(times):
    """Tasks that end well, badly, and not at all."""
    api = f"{GATEWAY}/api/hp"
    for _ in range(times):
        answer(f"{api}/query", {"query": "What is measured?"})
        answer(f"{api}/scrape", {"url": f"{GATEWAY}/api/docs"})
        answer(f"{api}/scrape", {"url": "http://10.0.0.1/"})
    answer(f"{api}/tasks/nobody-knows-it")
    answer(f"{api}/scrape", {"url": "http://10.0.0.1/", "delay": "1h"})


def targets():
    active = ask("targets", state="active")["activeTargets"]
    for target in active:
        if target["health"] == "down":
            sys.exit(f"Prometheus cannot read {target['scrapeUrl']}: {target['lastError']}")
    return sum(target["health"] == "up" for target in active)


def check_rules():
    rules = [rule for group in ask("rules")["groups"] for rule in group["rules"]]
    for rule in rules:
        if rule["health"] != "ok":
            sys.exit(f"the rule {rule['name']} is {rule['health']}: {rule.get('lastError')}")
    return len(rules)


def settled(expression, where):
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    if "$" in expression:
        sys.exit(f"{where}: a variable that nobody sets: {expression}")
    return expression


def expressions(panel):
    for target in panel.get("targets", []):
        if 'namespace=~"$namespace"' not in target["expr"]:
            sys.exit(f"{panel['title']} does not tell fleets apart: {target['expr']}")
        yield settled(target["expr"], panel["title"])


def check_dashboard(file):
    dashboard = json.loads(file.read_text())
    asked, now = 0, time.time()
    for panel in dashboard["panels"]:
        for expression in expressions(panel):
            found = ask("query_range", query=expression, start=now - 60, end=now, step=5)
            is_quiet = any(name in expression for name in QUIET)
            if not found["result"] and not is_quiet:
                sys.exit(f"{file.name}: {panel['title']} finds nothing: {expression}")
            asked += 1
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            definition = settled(variable["definition"], file.name)
            name, label = definition.removeprefix("label_values(")[:-1].split(", ")
            if label not in ask("labels", **{"match[]": name}):
                sys.exit(f"{file.name}: {name} has no label {label}")
    return asked


def main():
    work(10)
    eventually("Prometheus reads every process", lambda: targets() == PROCESSES)

    def agree():
        totals = answer(f"{GATEWAY}/api/hp/stats")["totals"]
        told = {
            outcome: number(f'sum(flotilla_fleet_tasks_ended_total{{outcome="{outcome}"}})')
            for outcome in ("completed", "failed")
        }
        return totals["total_tasks"] >= 30 and all(told[name] == totals[name] for name in told)

    eventually("Prometheus and the gateway tell the same", agree)

    def rates_are_known():
        # What had been counted before the first look has no rate.
        work(1)
        ratios = ("fleet:flotilla_http_errors", "category:flotilla_task_failures")
        return all(number(f"count({name}:ratio_rate5m)") for name in ratios)

    eventually("rates are known", rates_are_known)
    rules = check_rules()
    files = sorted(DASHBOARDS.glob("*.json"))
    asked = sum(check_dashboard(file) for file in files)
    firing = ask("query", query='ALERTS{alertstate="firing"}')["result"]
    # More than one dead letter in six is a lot, and was the intention.
    unexpected = {alert["metric"]["alertname"] for alert in firing} - {"FlotillaDeadLettersRise"}
    if unexpected:
        sys.exit(f"alerts fire in a fleet that is well: {', '.join(sorted(unexpected))}")
    print(f"{rules} rules and {asked} queries of {len(files)} dashboards are answered")


main()
