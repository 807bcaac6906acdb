"""The API server, as its clients see it: asked directly, by kubectl and by helm."""

import json
import os
import pathlib
import ssl
import subprocess
import urllib.error
import urllib.request

from processes import tool

# Those that Kubernetes makes by itself in every namespace, and helm's own record of a release.
EVERYWHERE = {"ConfigMap/kube-root-ca.crt", "ServiceAccount/default"}


class Refused(Exception):
    def __init__(self, status, answer):
        self.status = status
        self.message = answer.get("message", "") if isinstance(answer, dict) else str(answer)
        super().__init__(f"{status}: {self.message}")


class Api:
    def __init__(self, url, authority, token, home):
        self.url = url
        self.token = token
        self.home = pathlib.Path(home)
        self.context = ssl.create_default_context(cafile=str(authority))
        self.kubeconfig = self.home / "kubeconfig"
        self.write_kubeconfig(self.kubeconfig, authority, token)
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.home), "KUBECONFIG": str(self.kubeconfig),
        }

    def write_kubeconfig(self, path, authority, token, url=None):
        """JSON is YAML too."""
        path.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": url or self.url, "certificate-authority": str(authority)}}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }))

    def ask(self, method, path, body=None, accept="application/json", content="application/json"):
        data = None if body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {self.token}", "accept": accept, "content-type": content}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60, context=self.context) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            text = error.read()
            try:
                raise Refused(error.code, json.loads(text)) from None
            except ValueError:
                raise Refused(error.code, text.decode(errors="replace")) from None
        try:
            return json.loads(text)
        except ValueError:
            return text.decode(errors="replace")

    def get(self, path):
        return self.ask("GET", path)

    def items(self, path):
        return self.get(path)["items"]

    def create(self, path, body):
        return self.ask("POST", path, body)

    def patch(self, path, body):
        return self.ask("PATCH", path, body, content="application/merge-patch+json")

    def kinds(self, scope):
        """(kind, path) of each kind of that scope ("Namespaced" or "Cluster") that can be listed."""
        accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        for root in ("/api", "/apis"):
            for group in self.ask("GET", root, accept=accept)["items"]:
                name = group["metadata"].get("name", "")
                version = group["versions"][0]
                prefix = f"/apis/{name}/{version['version']}" if name else "/api/v1"
                for resource in version["resources"]:
                    if resource["scope"] == scope and "list" in resource["verbs"]:
                        yield resource["responseKind"]["kind"], prefix, resource["resource"]

    def made_in(self, namespace):
        """What somebody has made there, as Kind/name: not what Kubernetes derives from it, nor events, nor
        helm's records."""
        made = set()
        for kind, prefix, resource in self.kinds("Namespaced"):
            # Endpoints are made of services; they do not name their owner.
            if kind in ("Event", "Endpoints"):
                continue
            for item in self.items(f"{prefix}/namespaces/{namespace}/{resource}"):
                derived = any(owner.get("controller") for owner in item["metadata"].get("ownerReferences", []))
                if not derived and not item.get("type", "").startswith("helm.sh/release"):
                    made.add(f"{kind}/{item['metadata']['name']}")
        return made - EVERYWHERE

    def made_in_cluster(self):
        """Everything outside of namespaces."""
        return {f"{kind}/{item['metadata']['name']}" for kind, prefix, resource in self.kinds("Cluster")
                if kind != "Event" for item in self.items(f"{prefix}/{resource}")}

    def run(self, program, *arguments, stdin=None, fails=False):
        """What it prints, as it has to succeed; or, where it has to fail, what it complains about."""
        command = [tool(program, self.environment["PATH"]), *map(str, arguments)]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True,
                              env=self.environment, timeout=400)
        told = f"{program} {' '.join(map(str, arguments))}: {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
        assert (done.returncode != 0) == fails, told
        return done.stdout + done.stderr if fails else done.stdout

    def kubectl(self, *arguments, **options):
        return self.run("kubectl", *arguments, **options)

    def helm(self, *arguments, **options):
        return self.run("helm", *arguments, **options)

    def objects(self, manifests):
        """Manifests, as the server understands them: strictly, so that it refuses what it does not know."""
        told = self.kubectl("create", "--dry-run=server", "--validate=strict", "-o", "json", "-f", "-", stdin=manifests)
        # One object, or several one after the other.
        found, decoder, rest = [], json.JSONDecoder(), told.strip()
        while rest:
            item, end = decoder.raw_decode(rest)
            found += item["items"] if item["kind"] == "List" else [item]
            rest = rest[end:].lstrip()
        return found
