"""A real control plane, as processes of this machine: etcd, the API server, the controller manager and the
scheduler. All of it listens at one address, and is gone with the tests."""

import os
import pathlib
import re
import secrets
import subprocess

from api import Api, Refused
from processes import Processes, free_ports, module, tool

SCHEMAS = pathlib.Path(__file__).resolve().parents[1] / "helm/make_schemas.py"
SERVICES = "10.96.0.0/16"
PODS = "10.244.0.0/16"


def kubernetes(name):
    """A command line: all of Kubernetes is one program here."""
    return [tool("kubernetes"), name]


class ControlPlane:
    def __init__(self, directory, address="127.0.0.1"):
        self.directory = pathlib.Path(directory)
        self.address = address
        self.processes = Processes(self.directory)
        self.store, peers, self.port = free_ports(3)
        self.token = secrets.token_hex(16)
        self.certificates = self.directory / "certificates"
        self.key = self.directory / "service-accounts.pem"
        subprocess.run([tool("openssl"), "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.key],
                       check=True, capture_output=True)
        self.tokens = self.directory / "tokens.csv"
        self.tokens.write_text(f'{self.token},admin,admin,"system:masters"\n')
        here = f"http://127.0.0.1:{peers}"
        # What is lost with the machine is lost: it writes to a directory that the tests throw away.
        self.processes.start(
            "etcd", tool("etcd"), "--data-dir", self.directory / "etcd", "--unsafe-no-fsync", "--log-level", "warn",
            "--listen-client-urls", f"http://127.0.0.1:{self.store}",
            "--advertise-client-urls", f"http://127.0.0.1:{self.store}",
            "--listen-peer-urls", here, "--initial-advertise-peer-urls", here, "--initial-cluster", f"default={here}")
        self.start_api_server()
        self.api = self.client()
        self.start_controllers()
        self.tool_links()

    def start_api_server(self):
        self.processes.start(
            "kube-apiserver", *kubernetes("kube-apiserver"),
            "--etcd-servers", f"http://127.0.0.1:{self.store}",
            "--bind-address", self.address, "--advertise-address", self.address, "--secure-port", self.port,
            # What a pod finds at the kubernetes service; nobody may publish a loopback address.
            "--endpoint-reconciler-type", "none" if self.address.startswith("127.") else "lease",
            "--cert-dir", self.certificates, "--token-auth-file", self.tokens, "--authorization-mode", "Node,RBAC",
            "--service-cluster-ip-range", SERVICES, "--service-account-issuer", "https://kubernetes.default.svc",
            "--service-account-key-file", self.key, "--service-account-signing-key-file", self.key,
            "--kubelet-preferred-address-types", "InternalIP", "--allow-privileged", "--profiling=false")

    def client(self):
        authority = self.certificates / "apiserver.crt"
        self.processes.eventually("the API server has made its certificate", authority.exists)
        api = Api(f"https://{self.address}:{self.port}", authority, self.token, self.directory)

        def ready():
            try:
                return api.get("/readyz") == "ok" and api.items("/api/v1/namespaces")
            except (OSError, Refused):
                return False
        self.processes.eventually("the API server is ready", ready, explain=lambda: self.processes.log("kube-apiserver"))
        return api

    def start_controllers(self):
        self.processes.start(
            "kube-controller-manager", *kubernetes("kube-controller-manager"), "--kubeconfig", self.api.kubeconfig,
            "--leader-elect=false", "--secure-port=0", "--service-account-private-key-file", self.key,
            "--root-ca-file", self.certificates / "apiserver.crt", "--cluster-cidr", PODS,
            "--horizontal-pod-autoscaler-sync-period", "2s", "--kube-api-qps", "200", "--kube-api-burst", "400")
        self.processes.start(
            "kube-scheduler", *kubernetes("kube-scheduler"), "--kubeconfig", self.api.kubeconfig,
            "--leader-elect=false", "--secure-port=0")

    def tool_links(self):
        """kubectl, for the tests and for those that look on."""
        links = self.directory / "bin"
        links.mkdir()
        (links / "kubectl").symlink_to(os.path.realpath(tool("kubernetes")))
        self.api.environment["PATH"] = f"{links}:{self.api.environment['PATH']}"

    def namespace(self, name, level="restricted"):
        """One in which the API server holds every pod against that level of pod security."""
        self.api.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": {
            "pod-security.kubernetes.io/enforce": level, "pod-security.kubernetes.io/enforce-version": "latest"}}})
        self.processes.eventually(f"namespace {name} has its service account",
                                  lambda: self.api.items(f"/api/v1/namespaces/{name}/serviceaccounts"))

    def custom_resources(self):
        """The kinds of others that the chart uses, of the modules and versions that its schemas are made of."""
        pinned = re.findall(r'\("([^"@ ]+)@([^" ]+)", "([^" ]+\.yaml)"\)', SCHEMAS.read_text())
        assert pinned, f"{SCHEMAS} names no definitions"
        for name, version, path in pinned:
            # Their texts are too long for the annotation of a plain `apply`.
            self.api.kubectl("apply", "--server-side", "-f", module(name, version) / path)
        for name, _, path in pinned:
            plural = path.rsplit("_", 1)[1].removesuffix(".yaml")
            self.processes.eventually(f"{plural} of {name} can be made",
                                      lambda plural=plural: plural in self.api.kubectl("api-resources", "-o", "name"))

    def stop(self):
        self.processes.stop()
