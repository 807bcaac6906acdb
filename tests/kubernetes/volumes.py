"""Volumes for claims, in place of what provides them in a real cluster: a directory of the node that the
scheduler has chosen."""

import threading

from api import Refused

CLASS = "standard"
PROVISIONER = "flotilla.test/directory"


class Provisioner:
    """`directory(node, name)` makes a directory on that node and answers its path."""

    def __init__(self, api, directory):
        self.api, self.directory = api, directory
        self.stopped = threading.Event()
        api.create("/apis/storage.k8s.io/v1/storageclasses", {
            "metadata": {"name": CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            "provisioner": PROVISIONER, "volumeBindingMode": "WaitForFirstConsumer"})
        self.thread = threading.Thread(target=self.provide, daemon=True)
        self.thread.start()

    def provide(self):
        while not self.stopped.wait(0.3):
            try:
                for claim in self.api.items("/api/v1/persistentvolumeclaims"):
                    node = claim["metadata"].get("annotations", {}).get("volume.kubernetes.io/selected-node")
                    if node and claim["status"]["phase"] == "Pending" and not claim["spec"].get("volumeName"):
                        self.volume(claim, node)
                for volume in self.api.items("/api/v1/persistentvolumes"):
                    if volume["status"].get("phase") == "Released":
                        self.api.ask("DELETE", f"/api/v1/persistentvolumes/{volume['metadata']['name']}")
            except (OSError, Refused):
                # Asked again in a moment, of whatever there is then.
                continue

    def volume(self, claim, node):
        metadata = claim["metadata"]
        name = f"volume-{metadata['uid']}"
        self.api.create("/api/v1/persistentvolumes", {"metadata": {"name": name}, "spec": {
            "capacity": claim["spec"]["resources"]["requests"], "accessModes": claim["spec"]["accessModes"],
            "storageClassName": CLASS, "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": metadata["namespace"], "name": metadata["name"], "uid": metadata["uid"]},
            "local": {"path": self.directory(node, name)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]}}}})

    def stop(self):
        self.stopped.set()
        self.thread.join()
