#!/usr/bin/env python3
"""Runs every case with every driver against one fleet, and compares what comes with what must.

`./just test-clients` builds what it needs and calls it; README.md describes cases and drivers.
"""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import time

from suite import cases, handlers, report
from suite.driver import Driver, DriverError
from suite.fleet import Fleet
from suite.site import Site
from suite.steps import Client, run_case
from suite.values import CaseError, Mismatch

EXAMPLE_WITHIN = 120


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flotilla", required=True, help="the program flotilla")
    parser.add_argument("--driver", action="append", default=[], metavar="LANGUAGE=COMMAND")
    parser.add_argument("--example", action="append", default=[], metavar="LANGUAGE=COMMAND")
    parser.add_argument("--handler", action="append", default=[], metavar="LANGUAGE=COMMAND")
    parser.add_argument("--case", help="only cases whose name contains this")
    return parser.parse_args()


def commands(given):
    return {language: shlex.split(command) for language, _, command in (text.partition("=") for text in given)}


def judge(case, client, variables):
    """None where the case passes, and else why not. A case that must fail passes by failing as it says."""
    try:
        run_case(case, client, variables)
    except Mismatch as mismatch:
        told = str(mismatch)
        if "must_fail" not in case:
            return told
        return None if case["must_fail"] in told else f"it must fail with {case['must_fail']!r}, and failed with: {told}"
    # A broken driver is never the failure that a case foresees.
    except (CaseError, DriverError) as error:
        return f"{type(error).__name__}: {error}"
    return "it must fail, and passed: the suite would not see such an error" if "must_fail" in case else None


def run_driver(language, command, wanted, fleet, site, results):
    try:
        driver = Driver(language, command, fleet.nats_url, sys.stderr)
    except (DriverError, OSError, KeyError) as error:
        results.add(language, "it starts", f"the driver does not start: {error}", 0)
        return
    results.uses(language, driver.uses)
    client = Client(driver)
    for number, case in enumerate(wanted):
        if reason := case.get("without", {}).get(language):
            results.skip(language, case["name"], reason)
            continue
        began = time.monotonic()
        # Every case has ids of its own: all of them share a fleet.
        run = f"{language}-{os.getpid()}-{number}"
        why = judge(case, client, {"run": run, "site": site.url})
        if not fleet.is_alive():
            why = f"the fleet has ended:\n{fleet.told()}"
        results.add(language, case["name"], why, time.monotonic() - began)
    if not driver.stop():
        results.add(language, "it ends with its input", "the driver was still there 10 s later", 10)


def run_example(language, command, fleet, site, results):
    """What a newcomer runs first has to work as it stands."""
    began = time.monotonic()
    environment = {**os.environ, "NATS_URL": fleet.nats_url}
    try:
        done = subprocess.run([*command, f"{site.url}/manual"], env=environment, capture_output=True,
                              timeout=EXAMPLE_WITHIN, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        results.add(language, "the example runs", str(error), time.monotonic() - began)
        return
    said = done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
    wanted = ["Heron garden pump: manual", "36 months", f"{site.url}/manual"]
    missing = [text for text in wanted if text not in said]
    why = None
    if done.returncode or missing:
        why = f"it ended with {done.returncode} and did not say {missing}, but: {said[-1500:]}"
    results.add(language, "the example runs", why, time.monotonic() - began)


def main():
    # So that a fleet never outlives its suite.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("flotilla: the suite was told to stop"))
    options = arguments()
    drivers, examples = commands(options.driver), commands(options.example)
    wanted = [case for case in cases.load() if not options.case or options.case in case["name"]]
    if not drivers or not wanted:
        sys.exit("flotilla: there is no driver, or no case of that name")
    site = Site()
    fleet = Fleet(options.flotilla, site.url)
    results = report.Results([case["name"] for case in wanted], list(drivers))
    try:
        for language, command in drivers.items():
            run_driver(language, command, wanted, fleet, site, results)
        if examples:
            fleet.read(f"{site.url}/manual", "How long does the warranty last?")
        for language, command in examples.items():
            run_example(language, command, fleet, site, results)
        for language, command in commands(options.handler).items():
            handlers.run(language, command, fleet, results)
        log = fleet.told()
    finally:
        ended_well = fleet.stop()
        site.shutdown()
    if not ended_well:
        results.add("fleet", "it ends when it is told to", f"it ended with {fleet.process.returncode}", 0)
    print(results.table())
    if results.failed:
        print(results.failures())
        print(f"The fleet said at last:\n{log}")
    print(f"{results.passed} passed, {results.failed} failed")
    sys.exit(1 if results.failed or not results.passed else 0)


if __name__ == "__main__":
    main()
