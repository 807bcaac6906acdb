"""Nodes without a machine: pods are really created, admitted, scheduled and bound, and kwok says of each that
it runs and is ready. Nothing runs in them."""

import subprocess

from processes import module, tool

NODES = ["node-a", "node-b", "node-c"]
# Nodes are ready at once, and so are pods.
STAGES = ("node/fast/node-initialize", "node/heartbeat-with-lease/node-heartbeat-with-lease",
          "pod/fast/pod-ready", "pod/fast/pod-complete", "pod/fast/pod-delete")


def stages(directory):
    """kwok's own description of what becomes of nodes and pods, of the version that runs."""
    # kwok version v0.8.0 go1.26.8 (linux/amd64)
    version = subprocess.run([tool("kwok"), "--version"], capture_output=True, text=True, check=True).stdout.split()[2]
    described = module("sigs.k8s.io/kwok", version) / "kustomize/stage"
    file = directory / "stages.yaml"
    file.write_text("\n---\n".join((described / f"{name}.yaml").read_text() for name in STAGES))
    return file


def start(plane):
    """A node in each of three zones."""
    plane.processes.start(
        "kwok", tool("kwok"), "--kubeconfig", plane.api.kubeconfig, "--config", stages(plane.directory), "--manage-all-nodes=true",
        "--cidr", "10.244.0.0/16", "--node-ip", "192.0.2.1", "--node-lease-duration-seconds", "40")
    for name in NODES:
        plane.api.create("/api/v1/nodes", {
            "metadata": {"name": name, "labels": {
                "kubernetes.io/hostname": name, "topology.kubernetes.io/zone": f"zone-{name[-1]}",
                "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}},
            "status": {"allocatable": {"cpu": "16", "memory": "64Gi", "pods": "110"},
                       "capacity": {"cpu": "16", "memory": "64Gi", "pods": "110"}}})

    def all_ready():
        return all(any(condition["type"] == "Ready" and condition["status"] == "True"
                       for condition in node["status"].get("conditions", []))
                   for node in plane.api.items("/api/v1/nodes"))
    plane.processes.eventually("all nodes are ready", all_ready, explain=lambda: plane.processes.log("kwok"))
