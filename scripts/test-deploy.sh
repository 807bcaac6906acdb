#!/usr/bin/env bash
# Checks deploy/compose.yaml and deploy/Dockerfile, and runs what they describe without a container
# engine: every service in namespaces of its own. Arguments go to Python's unittest.
set -euo pipefail

alone=(unshare --net --mount --pid --fork --kill-child --mount-proc --propagation private)
if ! "${alone[@]}" true 2>/dev/null; then
    echo "flotilla: this needs root, and a system that lets it make namespaces (Linux): try it as root." >&2
    exit 1
fi
for program in ip ldd python3; do
    command -v "$program" >/dev/null || { echo "flotilla: $program is missing; install it (Debian: iproute2, libc-bin, python3)." >&2; exit 1; }
done
cargo build --workspace --bins --tests
jaeger=${FLOTILLA_JAEGER:-jaeger}
"$jaeger" validate --config deploy/jaeger/jaeger.yaml
# What the tests mount and start is to be seen by nobody else, and goes with their namespaces.
for kind in mnt net pid; do
    export "FLOTILLA_OUTSIDE_${kind^^}=$(readlink "/proc/self/ns/$kind")"
done
cd tests/deploy
PYTHONDONTWRITEBYTECODE=1 exec "${alone[@]}" python3 -m unittest "$@"
