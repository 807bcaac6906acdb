#!/usr/bin/env python3
"""Runs what Flotilla is compared with, and Flotilla, and prints one table: `just bench-peers`.

Programs and their dependencies are built once, in the directory that FLOTILLA_TOOLS_DIR names.
README.md says what is measured, and what differs.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
HOME = Path(os.environ.get("FLOTILLA_TOOLS_DIR", ROOT / ".tools")) / "bench-peers"
# A peer that takes longer is given up.
TIME_MAX = 300


def fail(message):
    sys.exit(f"flotilla: {message}")


def need(program, remedy):
    if not shutil.which(program):
        fail(f"{program} is not on the PATH: {remedy}")


def run(*command, **options):
    subprocess.run([str(part) for part in command], check=True, stdout=sys.stderr, **options)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def redis():
    """A Redis that keeps what it is told, as far as a nats-server does by default: in files, which
    reach the disk now and then."""
    need("redis-server", "install it, for instance with 'apt-get install redis-server'")
    with tempfile.TemporaryDirectory() as directory, open(Path(directory) / "log", "w") as log:
        port = free_port()
        server = subprocess.Popen(
            ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", directory,
             "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""],
            stdout=log,
        )
        try:
            wait_for(port)
            yield port
        finally:
            server.terminate()
            server.wait()


def wait_for(port):
    give_up_at = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > give_up_at:
                fail(f"nothing listens on port {port}: the server did not start")
            time.sleep(0.02)


def bullmq():
    need("npm", "install Node.js 20 or newer")
    home = HOME / "bullmq"
    shutil.copytree(HERE / "bullmq", home, dirs_exist_ok=True)
    if not (home / "node_modules" / "bullmq").exists():
        run("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", cwd=home)
    return ["node", home / "bench.js"]


def celery():
    home = HOME / "celery"
    python = home / "bin" / "python"
    if not (home / "bin" / "celery").exists():
        run(sys.executable, "-m", "venv", home)
        run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:",
            "--requirement", HERE / "celery" / "requirements.txt")
    return [python, HERE / "celery" / "bench.py"]


def asynq():
    need("go", "install Go 1.25 or newer")
    program = HOME / "asynq"
    HOME.mkdir(parents=True, exist_ok=True)
    run("go", "build", "-buildvcs=false", "-o", program, ".", cwd=HERE / "asynq")
    return [program]


PEERS = {
    "bullmq": ("BullMQ 6.7.0 on Redis", bullmq),
    "celery": ("Celery 5.7.0 on Redis", celery),
    "asynq": ("asynq 0.26.0 on Redis", asynq),
}


def measured(peer, options):
    """A line of the table; None where the peer fails, which is told."""
    name, prepare = PEERS[peer]
    try:
        command = prepare()
        with redis() as port:
            command = [*command, port, options.tasks, options.concurrency, options.round_trips]
            print(f"measuring {name} …", file=sys.stderr)
            done = subprocess.run([str(part) for part in command], check=True, timeout=TIME_MAX,
                                  stdout=subprocess.PIPE, text=True, cwd=command_home(peer))
            return {"name": name, **json.loads(done.stdout)}
    except (subprocess.SubprocessError, json.JSONDecodeError) as error:
        print(f"{name} failed: {error}", file=sys.stderr)
        return None


def command_home(peer):
    return HERE / "celery" if peer == "celery" else HOME


def ours():
    """Flotilla and raw JetStream, by `just bench`."""
    done = subprocess.run(
        [ROOT / "scripts" / "bench.sh", "throughput", "latency", "--json"],
        check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    figures = json.loads(done.stdout)["figures"]

    def first(section, name):
        return next(f for f in figures if f["section"] == section and name in f["name"])

    rate, p50, p99 = first("throughput", "256 slots"), first("latency", "p50"), first("latency", "p99")

    def line(name, value):
        return {"name": name, "tasks_per_second": value(rate), "p50_ms": value(p50), "p99_ms": value(p99)}

    return [line("raw JetStream", lambda f: f["baseline"]["value"]),
            line("Flotilla", lambda f: f["value"])]


def main():
    parser = argparse.ArgumentParser(description="Measures Flotilla beside other task queues.")
    parser.add_argument("peers", nargs="*", metavar="PEER",
                        help=f"all where none is named: {', '.join(PEERS)}")
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--concurrency", type=int, default=256)
    parser.add_argument("--round-trips", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for peer in options.peers:
        if peer not in PEERS:
            parser.error(f"there is no peer {peer}: name {', '.join(PEERS)}")
    lines = ours() + [measured(peer, options) for peer in options.peers or PEERS]
    lines = [line for line in lines if line]
    if options.json:
        print(json.dumps(lines, indent=2))
        return
    raw = lines[0]["tasks_per_second"]
    print(f"{'':<34} {'tasks/s':>9} {'× raw':>6} {'p50 ms':>8} {'p99 ms':>8}")
    for line in lines:
        rate = line["tasks_per_second"]
        print(f"{line['name']:<34} {rate:>9.0f} {rate / raw:>6.2f} {line['p50_ms']:>8.2f} {line['p99_ms']:>8.2f}")


if __name__ == "__main__":
    main()
