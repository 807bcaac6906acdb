#!/usr/bin/env bash
# Installs, changes and removes the Helm chart on a real control plane of Kubernetes, with nodes that only say
# that their pods run. Needs neither root nor a container engine. Arguments go to Python's unittest.
set -euo pipefail

command -v openssl >/dev/null || { echo "flotilla: openssl is missing; install it (Debian: openssl)." >&2; exit 1; }
cd tests/kubernetes
PYTHONDONTWRITEBYTECODE=1 exec python3 -m unittest "${@:-test_chart}"
