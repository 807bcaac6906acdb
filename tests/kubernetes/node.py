"""Real nodes, in namespaces: each has a network, mounts and processes of its own, and in these containerd, the
kubelet and kube-proxy. A bridge joins them, and the control plane's machine, which is where the tests run.

Needs root, and to be alone in its namespaces, as scripts/test-kubernetes-node.sh has it. Everything is made in
tmpfs there and goes with them: nothing is ever deleted. What is the machine's own, and shared all the same,
are cgroups; the script removes those."""

import json
import os
import pathlib
import subprocess
import sys

from control_plane import PODS
from processes import tool

MACHINE = "10.77.0.1"
PAUSE = "localhost/flotilla-pause:1"


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}: {done.stderr}{done.stdout}"
    return done.stdout


def alone():
    """Refuses to mount anything where others would see it."""
    for kind in ("mnt", "net", "pid"):
        outside = os.environ.get(f"FLOTILLA_OUTSIDE_{kind.upper()}")
        if not outside or outside == os.readlink(f"/proc/self/ns/{kind}"):
            raise SystemExit("these tests mount and unplug: run them by scripts/test-kubernetes-node.sh alone")


def machine(directory):
    """The machine on which the control plane runs, and to which all nodes are joined."""
    alone()
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", directory)
    # Where `ip netns` keeps its names.
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "nodes", "type", "bridge")
    run("ip", "address", "add", f"{MACHINE}/24", "dev", "nodes")
    run("ip", "link", "set", "nodes", "up")
    pathlib.Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def cni_plugins():
    for place in ("/usr/lib/cni", "/opt/cni/bin"):
        if os.path.exists(f"{place}/bridge"):
            return place
    raise SystemExit("the network plugins are missing: apt-get install containernetworking-plugins")


class Node:
    def __init__(self, plane, number):
        self.plane, self.number = plane, number
        self.name = f"node-{number}"
        self.address = f"10.77.0.{10 + number}"
        self.pods = PODS.replace("244.0.0/16", f"244.{number}.0/24")
        self.directory = plane.directory / self.name
        self.directory.mkdir()
        self.network()

    def network(self):
        run("ip", "netns", "add", self.name)
        run("ip", "link", "add", self.name, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        run("ip", "link", "set", self.name, "master", "nodes", "up")
        for command in (["address", "add", f"{self.address}/24", "dev", "eth0"], ["link", "set", "eth0", "up"],
                        ["link", "set", "lo", "up"], ["route", "add", "default", "via", MACHINE]):
            run("ip", "-n", self.name, *command)
        run("ip", "route", "add", self.pods, "via", self.address)

    def files(self):
        """What its programs are configured by."""
        subnet = [[{"subnet": self.pods}]]
        network = {"cniVersion": "0.4.0", "name": "pods", "plugins": [{
            "type": "bridge", "bridge": "pods", "isGateway": True, "hairpinMode": True,
            "ipam": {"type": "host-local", "ranges": subnet, "routes": [{"dst": "0.0.0.0/0"}]}}]}
        kubelet = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
            # The network is the test's own, and nobody else is in it.
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
            "cgroupDriver": "cgroupfs", "cgroupRoot": self.cgroup(), "failCgroupV1": False, "failSwapOn": False,
            "enforceNodeAllocatable": ["pods"], "cgroupsPerQOS": True,
            "clusterDNS": [MACHINE], "clusterDomain": "cluster.local", "resolvConf": str(self.directory / "resolv.conf"),
            # Its disk is memory.
            "evictionHard": {"memory.available": "50Mi", "nodefs.available": "0%", "imagefs.available": "0%",
                             "nodefs.inodesFree": "0%", "imagefs.inodesFree": "0%"},
            "imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 99, "localStorageCapacityIsolation": False,
            "nodeStatusUpdateFrequency": "4s", "syncFrequency": "10s",
        }
        containerd = f"""
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  # Not everybody who is root may lower that.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni_plugins()}"
    conf_dir = "{self.directory}/network"
"""
        return {"network/10-pods.conflist": json.dumps(network), "kubelet.json": json.dumps(kubelet),
                "containerd.toml": containerd, "resolv.conf": f"nameserver {MACHINE}\n"}

    def cgroup(self):
        return f"/{os.environ['FLOTILLA_CGROUP']}/{self.name}"

    def start(self):
        for path, text in self.files().items():
            (self.directory / path).parent.mkdir(exist_ok=True)
            (self.directory / path).write_text(text)
        (self.directory / "kubeconfig").write_bytes(self.plane.api.kubeconfig.read_bytes())
        for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
            _, mount, kind, *_ = line.split()
            if kind in ("cgroup", "cgroup2"):
                pathlib.Path(mount + self.cgroup()).mkdir(parents=True, exist_ok=True)
        enter = ["nsenter", f"--net=/run/netns/{self.name}", "unshare", "--mount", "--pid", "--fork", "--kill-child",
                 "--mount-proc", "--propagation", "private", "--uts"]
        self.plane.processes.start(self.name, *enter, sys.executable, pathlib.Path(__file__).with_name("node_main.py"),
                                   self.name, self.address, self.directory, tool("kubernetes"),
                                   env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})

    def load(self, *archives):
        """Images, into containerd."""
        socket = self.directory / "run/containerd/containerd.sock"
        self.plane.processes.eventually(f"containerd of {self.name} answers", socket.exists,
                                        explain=lambda: self.plane.processes.log(self.name))
        for archive in archives:
            run("ctr", "--address", socket, "--namespace", "k8s.io", "images", "import", archive)

    def logs(self):
        return "\n".join([self.plane.processes.log(self.name)] + [
            f"--- {self.name}: {file.name}\n" + "\n".join(file.read_text(errors="replace").splitlines()[-15:])
            for file in self.directory.glob("*.log")])
