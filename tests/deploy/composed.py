"""What deploy/compose.yaml describes, run without a container engine: each service in a network
namespace of its own, in a root directory made as the Dockerfile says, read-only, as a user without
rights, with that environment and those files and no others. Names are found as in a container.

Needs root, and to be alone in its namespaces, as scripts/test-deploy.sh has it. Everything is made in a
tmpfs there and goes with them: nothing is ever deleted, as a path may lead through a mount to what is
the machine's own."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "deploy" / "compose.yaml"
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
PROGRAMS = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"
# Anybody's: the image has to run as whoever it is told to be.
USER = 23456
# Including what is started only where somebody has categories of their own.
EVERYTHING = ["--profile", "categories"]
# What gcr.io/distroless/cc-debian12 has of libraries.
DISTROLESS = {"libc", "libm", "libgcc_s", "libstdc++", "libdl", "libpthread", "librt", "libssl", "libcrypto", "libgomp",
              "libresolv", "ld-linux-x86-64", "ld-linux-aarch64"}
# The programs of the images that are not ours, as their tools have them, with the image's own
# entry point before the command of the compose file.
OTHERS = {"nats": ("nats-server", []), "jaegertracing/jaeger": ("jaeger", ["jaeger"]),
          "prom/prometheus": ("prometheus", ["prometheus"])}


def compose(*arguments):
    """The compose file as docker compose itself reads it, with these of its own arguments."""
    command = ["docker-compose", "-f", str(COMPOSE), *arguments, "config", "--format", "json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def last_stage():
    """The Dockerfile's last stage, as (instruction, words)."""
    lines = re.sub(r"\\\n\s*", " ", DOCKERFILE.read_text()).splitlines()
    steps = [line.split(None, 1) for line in lines if line.strip() and not line.lstrip().startswith("#")]
    start = max(index for index, (name, _) in enumerate(steps) if name == "FROM")
    return [(name, words.split()) for name, words in steps[start:]]


def programs():
    """What `cargo build --bins` builds: the programs of the services."""
    names = {path.parents[1].name for path in ROOT.glob("services/*/src/main.rs")}
    names = {"flotilla" if name == "flotilla" else f"flotilla-{name}" for name in names}
    return sorted(names | {path.stem for path in ROOT.glob("services/*/src/bin/*.rs")})


def image_programs():
    """What the image's build leaves in /programs/: what it builds, and the links to that."""
    script = (ROOT / "scripts" / "image-build.sh").read_text()
    built = re.findall(r"--bin ([\w-]+)", script)
    [services] = re.findall(r"^ +for service in (.*); do\n +ln -s flotilla ", script, re.MULTILINE)
    return built, [f"flotilla-{service}" for service in services.split()]


def libraries(program):
    assert os.access(program, os.X_OK), f"{program} is missing: cargo build --workspace --bins"
    told = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    return re.findall(r"(/\S+)", told)


def run(*command):
    subprocess.run(command, check=True)


def alone():
    """Refuses to mount anything where others would see it."""
    for kind in ("mnt", "net", "pid"):
        outside = os.environ.get(f"FLOTILLA_OUTSIDE_{kind.upper()}")
        if not outside or outside == os.readlink(f"/proc/self/ns/{kind}"):
            raise SystemExit("these tests mount and unplug: run them by scripts/test-deploy.sh alone")


class Root:
    """A root directory, filled and then made read-only."""

    def __init__(self, directory):
        self.directory = directory
        for name in ("etc", "proc", "tmp", "dev"):
            (self.directory / name).mkdir(parents=True)
        self.put_text("etc/nsswitch.conf", "hosts: files dns\n")

    def put_text(self, path, text):
        self.place(path).write_text(text)

    def put(self, source, path):
        """By a mount, as programs with what debuggers need are large."""
        target = self.place(path)
        if not target.exists():
            target.touch()
            run("mount", "--bind", source, target)
            run("mount", "-o", "remount,bind,ro", target)

    def place(self, path):
        target = self.directory / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def program(self, source, path):
        self.put(source, path)
        for library in libraries(source):
            self.put(library, library)

    def seal(self, mounts):
        """Read-only from now on, but for what is mounted in it: (source, path, whether read-only)."""
        targets = [(source, self.place(path), read_only) for source, path, read_only in mounts]
        for source, target, _ in targets:
            if os.path.isdir(source):
                target.mkdir(exist_ok=True)
            elif not target.exists():
                target.touch()
        run("mount", "--rbind", self.directory, self.directory)
        run("mount", "-o", "remount,bind,ro", self.directory)
        for source, target, read_only in targets:
            run("mount", "--bind", source, target)
            if read_only:
                run("mount", "-o", "remount,bind,ro", target)
        run("mount", "-t", "proc", "proc", self.directory / "proc")
        # As in a container: a few devices of its own, and none of the machine's.
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", self.directory / "dev")
        for name, minor in (("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9)):
            run("mknod", "-m", "666", self.directory / "dev" / name, "c", "1", str(minor))


class Composed:
    """All services of the compose file that have a program here."""

    def __init__(self):
        self.config = compose(*EVERYTHING)
        alone()
        self.directory = pathlib.Path("/mnt")
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", self.directory)
        # Where `ip netns` keeps its names.
        run("mount", "-t", "tmpfs", "tmpfs", "/run")
        self.processes = {}
        self.addresses = {}
        run("ip", "link", "add", "flotilla", "type", "bridge")
        run("ip", "address", "add", "10.77.0.1/24", "dev", "flotilla")
        run("ip", "link", "set", "flotilla", "up")
        run("ip", "link", "set", "lo", "up")
        for number, name in enumerate(sorted(self.config["services"]), start=2):
            self.addresses[name] = f"10.77.0.{number}"

    def start(self, name, more=None):
        """A service of the compose file, with more in its environment."""
        service = self.config["services"][name]
        address = self.addresses[name]
        self.network(name, address)
        root = Root(self.directory / name)
        hosts = "".join(f"{address} {name}\n" for name, address in self.addresses.items())
        root.put_text("etc/hosts", f"127.0.0.1 localhost\n{hosts}")
        command = self.fill(root, service)
        assert service.get("read_only"), f"{name} may write to its root"
        root.seal(self.mounts(service))
        for directory in service.get("tmpfs", []):
            run("mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", root.directory / directory.lstrip("/"))
        self.launch(name, root.directory, command, {**(service.get("environment") or {}), **(more or {})})

    def mounts(self, service):
        for mount in service.get("volumes", []):
            source = mount["source"] if mount["type"] == "bind" else self.volume(mount["source"])
            yield source, mount["target"], mount.get("read_only", False)

    def volume(self, name):
        directory = self.directory / f"volume-{name}"
        directory.mkdir(exist_ok=True)
        os.chown(directory, USER, USER)
        return str(directory)

    def network(self, name, address):
        run("ip", "netns", "add", name)
        run("ip", "link", "add", f"to-{name}"[:15], "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "link", "set", f"to-{name}"[:15], "master", "flotilla", "up")
        for command in (["address", "add", f"{address}/24", "dev", "eth0"], ["link", "set", "eth0", "up"],
                        ["link", "set", "lo", "up"]):
            run("ip", "-n", name, *command)

    def fill(self, root, service):
        """Puts the image's files there; answers what it runs."""
        command = service.get("command") or []
        image = service["image"].rsplit(":", 1)[0]
        if image in OTHERS:
            program, entry = OTHERS[image]
            found = os.environ.get(f"FLOTILLA_{program.upper().replace('-', '_')}") or shutil.which(program)
            assert found, f"{program} is not on the PATH"
            root.program(os.path.realpath(found), f"/usr/local/bin/{program}")
            command = [*entry, *command]
            return [f"/usr/local/bin/{command[0]}", *command[1:]]
        # distroless has the authorities of the world there.
        root.put_text("etc/ssl/certs/ca-certificates.crt", (ROOT / "tests/fixtures/ca.pem").read_text())
        for name, words in last_stage():
            if name != "COPY":
                continue
            if words[:2] == ["--from=build", "/programs/"]:
                built, links = image_programs()
                for program in built:
                    root.program(PROGRAMS / program, f"{words[2]}{program}")
                for link in links:
                    root.place(f"{words[2]}{link}").symlink_to("flotilla")
            elif words[0] != "--from=build":
                root.put(ROOT / words[0], words[1])
        return command

    def launch(self, name, root, command, environment):
        with open(self.directory / f"{name}.log", "wb") as log:
            self.processes[name] = subprocess.Popen(
                self.within(name, root, command, environment),
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

    def within(self, name, root, command, environment):
        become = [sys.executable, str(pathlib.Path(__file__).with_name("become.py")), str(root), str(USER)]
        plain = {key: value for key, value in environment.items() if value is not None}
        return ["ip", "netns", "exec", name, *become, json.dumps(plain), *command]

    def run(self, name, command, said=b"", environment=None):
        """Another program in a service's container, by default with nothing in its environment."""
        within = self.within(name, self.directory / name, command, environment or {})
        return subprocess.run(within, input=said, capture_output=True, timeout=60)

    def log(self, name):
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def all_run(self):
        for name, process in self.processes.items():
            assert process.poll() is None, f"{name} has ended with {process.returncode}:\n{self.log(name)}"

    def ask(self, name, port, path, body=None):
        """The status, and the answer read as JSON where it is some; (0, None) where nobody answers."""
        url = f"http://{self.addresses[name]}:{port}{path}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                status, text = answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode()
        except OSError:
            return 0, None
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text

    def eventually(self, what, is_so, seconds=90):
        deadline = time.monotonic() + seconds
        while True:
            found = is_so()
            if found:
                return found
            self.all_run()
            if time.monotonic() > deadline:
                logs = "\n".join(f"--- {name}\n{self.log(name)[-2000:]}" for name in self.processes)
                raise AssertionError(f"never came true: {what}\n{logs}")
            time.sleep(0.2)

    def stop(self):
        """As compose does: SIGTERM, and each has to end by itself, in good order."""
        codes = {}
        for name, process in self.processes.items():
            process.terminate()
        for name, process in self.processes.items():
            try:
                codes[name] = process.wait(timeout=40)
            except subprocess.TimeoutExpired:
                process.kill()
                codes[name] = "killed"
        return codes
