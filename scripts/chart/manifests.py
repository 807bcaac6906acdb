"""Manifests for those without Helm: what the chart renders, without what only Helm reads."""

import pathlib
import re
import subprocess

HEADER = """\
# {title}
# Made from the chart in helm/flotilla by ./just chart, with helm/flotilla/examples/{example}.yaml: not to be edited.
#
#   kubectl apply -f deploy/kubernetes/{example}.yaml
#
# Put your image in the place of {image}. Secrets that are named here have to be there, in the same
# namespace: helm/flotilla/README.md says how they are made.
"""
# Deployed into a namespace of its own, in which no pod gets more rights than the strictest profile gives.
NAMESPACE = """\
---
apiVersion: v1
kind: Namespace
metadata:
  name: flotilla
  labels:
    pod-security.kubernetes.io/enforce: restricted
"""
RENDERED = {"kind": "One of everything, to try it on one machine.",
            "production": "Three brokers, three copies of everything: for production."}


def image(text):
    """The fleet's own, which is of the first Deployment."""
    return re.search(r"^kind: Deployment$.*?^ +image: \"(.*?)\"$", text, re.M | re.S).group(1)


def rendered(root: pathlib.Path):
    chart = root / "helm" / "flotilla"
    for example, title in RENDERED.items():
        command = ["helm", "template", "flotilla", str(chart), "--namespace", "flotilla", "--skip-tests",
                   "--values", str(chart / "examples" / f"{example}.yaml")]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"flotilla: helm template: {done.stderr}")
        text = re.sub(r"^ +(helm\.sh/chart|app\.kubernetes\.io/managed-by): .*\n", "", done.stdout, flags=re.M)
        # Helm names the namespace for all: kubectl has to read it.
        text = re.sub(r"^(kind: (?!Namespace).*\nmetadata:\n)", r"\1  namespace: flotilla\n", text, flags=re.M)
        text = "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
        yield root / "deploy" / "kubernetes" / f"{example}.yaml", HEADER.format(title=title, example=example, image=image(text)) + NAMESPACE + text
