"""Programs that the tests run: started with a log of their own, and ended with the tests."""

import json
import pathlib
import shutil
import socket
import subprocess
import time


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def tool(name, path=None):
    found = shutil.which(name, path=path)
    assert found, f"{name} is not on the PATH: run these tests by ./just, which gets it"
    return found


def module(name, version):
    """The directory of a Go module, fetched where it is not there."""
    told = subprocess.run([tool("go"), "mod", "download", "-json", f"{name}@{version}"], capture_output=True, text=True,
                          cwd="/", check=False)
    found = json.loads(told.stdout).get("Dir") if told.stdout else None
    assert found, f"go could not fetch {name} {version}: {told.stdout}{told.stderr}"
    return pathlib.Path(found)


def eventually(what, is_so, seconds=120, explain=lambda: ""):
    """Asks until it is true and answers what it is. `explain` says more where it never comes true."""
    deadline = time.monotonic() + seconds
    while True:
        found = is_so()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"never came true: {what}\n{explain()}")
        time.sleep(0.1)


class Processes:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.running = {}

    def start(self, name, *command, **options):
        with open(self.directory / f"{name}.log", "wb") as log:
            self.running[name] = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                                                  stdout=log, stderr=subprocess.STDOUT, **options)

    def log(self, name, lines=20):
        text = (self.directory / f"{name}.log").read_text(errors="replace")
        return f"--- {name}\n" + "\n".join(text.splitlines()[-lines:])

    def eventually(self, what, is_so, seconds=120, explain=lambda: ""):
        def is_so_and_all_run():
            for name, process in self.running.items():
                assert process.poll() is None, f"{name} has ended with {process.returncode}\n{self.log(name)}"
            return is_so()
        return eventually(what, is_so_and_all_run, seconds, explain)

    def stop(self):
        for process in reversed(self.running.values()):
            process.terminate()
        for process in self.running.values():
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.running.clear()
