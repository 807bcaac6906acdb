#!/usr/bin/env bash
# Checks the Helm chart without a cluster: helm's own lint, each example against the schemas of Kubernetes and of the
# operators that it speaks to (kept in tests/helm/schemas), the package, and the tests in tests/helm, for which
# the fleet's programs and a nats-server read what the chart gives them. Arguments go to Python's unittest.
set -euo pipefail

chart=helm/flotilla
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

for example in "$chart"/examples/*.yaml; do
    # Its remark that a chart should have an icon is no warning, and all else is one.
    helm lint --strict --quiet "$chart" --values "$example"
    name=$(basename "$example" .yaml)
    helm template fleet "$chart" --namespace tasks --values "$example" >"$tmp/$name.yaml"
done
# What no schema is there for fails.
schemas='tests/helm/schemas/{{ .ResourceKind }}{{ .KindSuffix }}.json'
kubeconform -strict -summary -schema-location "$schemas" "$tmp"/*.yaml deploy/kubernetes/*.yaml
# The package has all that its templates read: it renders as its source does.
helm package "$chart" --destination "$tmp" >/dev/null
helm template fleet "$tmp"/flotilla-*.tgz --namespace tasks --values "$chart/examples/observability.yaml" |
    diff - "$tmp/observability.yaml"

cargo build --workspace --bins --tests
cd tests/helm
PYTHONDONTWRITEBYTECODE=1 pyyaml -m unittest "$@"
