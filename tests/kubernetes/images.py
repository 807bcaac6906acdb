"""Images without a registry or an engine: archives as `docker save` writes them, of programs that are here.

Flotilla's has what deploy/Dockerfile puts in it: the programs, the C library of this machine in place of
distroless', and the settings; no shell."""

import hashlib
import io
import json
import os
import pathlib
import re
import subprocess
import tarfile

from processes import tool

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"


def put(layer, path, content, mode=0o644):
    entry = tarfile.TarInfo(path.lstrip("/"))
    entry.size, entry.mode = len(content), mode
    layer.addfile(entry, io.BytesIO(content))


def program_layer(directory, files):
    """A layer of what is at {path in the image: file here, or text}, and of the libraries of these files."""
    wanted = dict(files)
    for source in files.values():
        if isinstance(source, pathlib.Path) and os.access(source, os.X_OK):
            told = subprocess.run(["ldd", source], capture_output=True, text=True, check=False).stdout
            wanted.update((path, pathlib.Path(path)) for path in re.findall(r"(/\S+)", told))
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        entry = tarfile.TarInfo("tmp")
        entry.type, entry.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(entry)
        for path, source in sorted(wanted.items()):
            if isinstance(source, str):
                put(tar, path, source.encode())
            else:
                put(tar, path, small(directory, source), 0o755)
    return layer.getvalue()


def small(directory, source):
    """Without what debuggers read, which is most of a program that cargo has built for tests."""
    stripped = directory / "stripped"
    done = subprocess.run([tool("strip"), "-o", stripped, source], capture_output=True, check=False)
    return (stripped if done.returncode == 0 else source).read_bytes()


def save(directory, name, files, command, user="65532:65532"):
    """Writes NAME's archive, and answers where it is."""
    layer = program_layer(directory, files)
    digest = hashlib.sha256(layer).hexdigest()
    config = json.dumps({
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine], "os": "linux",
        "config": {"User": user, "WorkingDir": "/", "Cmd": command, "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]}}).encode()
    described = hashlib.sha256(config).hexdigest()
    manifest = [{"Config": f"{described}.json", "RepoTags": [name], "Layers": [f"{digest}/layer.tar"]}]
    archive = directory / f"{re.sub('[^a-z0-9]+', '-', name)}.tar"
    with tarfile.open(archive, "w") as tar:
        put(tar, f"{described}.json", config)
        put(tar, f"{digest}/layer.tar", layer)
        put(tar, "manifest.json", json.dumps(manifest).encode())
    return archive


def flotilla(directory, name):
    """The image of all services."""
    programs = [path for path in sorted(PROGRAMS.glob("flotilla*"))
                if "." not in path.name and path.name not in ("flotilla-bench", "flotilla-eval")]
    assert programs, f"no programs in {PROGRAMS}: cargo build --workspace --bins"
    files = {f"/usr/local/bin/{path.name}": path for path in programs}
    files["/etc/flotilla/flotilla.toml"] = (ROOT / "deploy/flotilla.toml").read_text()
    files["/etc/nsswitch.conf"] = "hosts: files dns\n"
    # distroless has the authorities of the world there.
    files["/etc/ssl/certs/ca-certificates.crt"] = (ROOT / "tests/fixtures/ca.pem").read_text()
    return save(directory, name, files, ["/usr/local/bin/flotilla-gateway"])


def nats(directory, name):
    found = pathlib.Path(os.path.realpath(os.environ.get("FLOTILLA_NATS_SERVER") or tool("nats-server")))
    return save(directory, name, {"/usr/local/bin/nats-server": found}, ["nats-server"], user="")


def pause(directory, name):
    """What the container runtime starts first in every pod."""
    return save(directory, name, {"/pause": pathlib.Path(os.path.realpath(tool("pause")))}, ["/pause"])
