#!/usr/bin/env python3
"""Makes the schemas that kubeconform goes by, of exactly the kinds that the chart renders: python3 make_schemas.py
(needs Go and PyYAML, and a network). They are kept in schemas/, without descriptions, so that a check needs none of it.

Kubernetes' own come from the OpenAPI document of its Go module, the others from the definitions in theirs."""

import json
import pathlib
import re
import subprocess

import yaml

HERE = pathlib.Path(__file__).parent / "schemas"
KUBERNETES = "k8s.io/kubernetes@v1.35.4"
KINDS = {
    "ConfigMap": "io.k8s.api.core.v1", "Namespace": "io.k8s.api.core.v1", "Pod": "io.k8s.api.core.v1",
    "Service": "io.k8s.api.core.v1", "ServiceAccount": "io.k8s.api.core.v1", "Deployment": "io.k8s.api.apps.v1",
    "StatefulSet": "io.k8s.api.apps.v1", "HorizontalPodAutoscaler": "io.k8s.api.autoscaling.v2",
    "Ingress": "io.k8s.api.networking.v1", "NetworkPolicy": "io.k8s.api.networking.v1",
    "PodDisruptionBudget": "io.k8s.api.policy.v1",
}
CUSTOM = [
    ("github.com/kedacore/keda/v2@v2.21.0", "config/crd/bases/keda.sh_scaledobjects.yaml"),
    ("github.com/prometheus-operator/prometheus-operator@v0.85.0", "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml"),
    ("github.com/prometheus-operator/prometheus-operator@v0.85.0", "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml"),
    ("sigs.k8s.io/gateway-api@v1.6.3", "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"),
]
# Types that the document calls strings, and that take numbers as well.
NUMBERS = {"io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["string", "number"]},
           "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["string", "integer"]}}
SPOKEN_OF = re.compile("^(description|default|example|x-kubernetes-.*)$")


def module(name):
    done = subprocess.run(["go", "mod", "download", "-json", name], check=True, capture_output=True, text=True, cwd="/")
    return pathlib.Path(json.loads(done.stdout)["Dir"])


def strict(schema, name=""):
    """Without what is only said, and closed: a field that the type does not have is a mistake."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["string", "integer"]}
    is_open = schema.get("x-kubernetes-preserve-unknown-fields")
    kept = {}
    for key, value in schema.items():
        if key == "properties":
            kept[key] = {field: strict(inner) for field, inner in value.items()}
        elif not SPOKEN_OF.match(key):
            kept[key] = strict(value)
    if "properties" in kept and "additionalProperties" not in kept and not is_open:
        kept["additionalProperties"] = False
    return kept


def referred(schema):
    return set(re.findall(r'"#/definitions/([^"]+)"', json.dumps(schema)))


def builtin(document, kind, package):
    """One kind of Kubernetes' own with the definitions that it needs, and no others."""
    definitions, names, wanted = document["definitions"], {f"{package}.{kind}"}, {f"{package}.{kind}"}
    while wanted:
        found = set().union(*(referred(definitions[name]) for name in wanted if name not in NUMBERS))
        wanted = found - names
        names |= found
    top = definitions[f"{package}.{kind}"]
    group = top["x-kubernetes-group-version-kind"][0]
    made = strict(top)
    made["required"] = sorted({"apiVersion", "kind", "metadata", *made.get("required", [])})
    version = "/".join(filter(None, [group["group"], group["version"]]))
    made["properties"] |= {"apiVersion": {"const": version}, "kind": {"const": kind}}
    made["definitions"] = {name: NUMBERS.get(name) or strict(definitions[name]) for name in sorted(names)}
    suffix = "-".join(filter(None, [group["group"].split(".")[0], group["version"]]))
    return f"{kind.lower()}-{suffix}.json", made


def custom(path):
    definition = yaml.safe_load(path.read_text())["spec"]
    version = next(version for version in definition["versions"] if version["storage"])
    made = strict(version["schema"]["openAPIV3Schema"])
    kind, group = definition["names"]["kind"], definition["group"]
    made["required"] = sorted({"apiVersion", "kind", "metadata", *made.get("required", [])})
    made["properties"] |= {"apiVersion": {"const": f"{group}/{version['name']}"}, "kind": {"const": kind},
                           "metadata": {"type": "object"}}
    return f"{kind.lower()}-{group.split('.')[0]}-{version['name']}.json", made


def main():
    document = json.loads((module(KUBERNETES) / "api/openapi-spec/swagger.json").read_text())
    made = [builtin(document, kind, package) for kind, package in KINDS.items()]
    made += [custom(module(name) / path) for name, path in CUSTOM]
    for old in HERE.glob("*.json"):
        old.unlink()
    for name, schema in made:
        (HERE / name).write_text(json.dumps(schema, separators=(",", ":"), sort_keys=True) + "\n")
        print(f"{(HERE / name).stat().st_size:8} {name}")


if __name__ == "__main__":
    main()
