"""One node: node_main.py NAME ADDRESS DIRECTORY KUBERNETES, in namespaces of its own. Ends as soon as one of its
programs does, and they with it."""

import pathlib
import signal
import socket
import subprocess
import sys

from control_plane import PODS

# What the kubelet and kube-proxy would set for the whole machine: they find it so, in files of the node's own.
SYSCTLS = {"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
           "kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000"}


def mount(*arguments):
    subprocess.run(["mount", *map(str, arguments)], check=True)


def furnish(directory):
    """The usual places are the node's own: all of them in memory."""
    for path in ("/run", "/var/lib", "/var/log"):
        place = directory / path.strip("/").replace("var/", "")
        place.mkdir()
        mount("--bind", place, path)
    for name, value in SYSCTLS.items():
        file = directory / name.replace("/", "-")
        file.write_text(f"{value}\n")
        mount("--bind", file, f"/proc/sys/{name}")
    for name in ("net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables"):
        pathlib.Path("/proc/sys", name).write_text("1")


def main():
    name, address, directory, kubernetes = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]), sys.argv[4]
    furnish(directory)
    socket.sethostname(name)
    kubeconfig = f"--kubeconfig={directory}/kubeconfig"
    programs = {
        "containerd": ["containerd", "--config", f"{directory}/containerd.toml", "--log-level", "warn"],
        "kubelet": [kubernetes, "kubelet", kubeconfig, f"--config={directory}/kubelet.json", f"--node-ip={address}",
                    f"--hostname-override={name}"],
        "kube-proxy": [kubernetes, "kube-proxy", kubeconfig, f"--hostname-override={name}", "--proxy-mode=iptables",
                       f"--cluster-cidr={PODS}", "--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0",
                       "--conntrack-tcp-timeout-close-wait=0", "--healthz-bind-address=", "--metrics-bind-address="],
    }
    running = {}
    for program, command in programs.items():
        with open(directory / f"{program}.log", "wb") as log:
            running[program] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        signal.sigtimedwait([signal.SIGCHLD], 1)
        for program, process in running.items():
            if process.poll() is not None:
                text = (directory / f"{program}.log").read_text(errors="replace")
                sys.exit(f"{program} has ended with {process.returncode}:\n{text[-3000:]}")


main()
