#!/usr/bin/env bash
# Runs the Helm chart on two real nodes of Kubernetes, with containers, in namespaces of their own: `helm test`, a
# question, and a rollout, a scale-down and a drained node under load. Arguments go to Python's unittest.
set -euo pipefail

alone=(unshare --net --mount --pid --fork --kill-child --mount-proc --propagation private)
if ! "${alone[@]}" true 2>/dev/null; then
    echo "flotilla: this needs root, and a system that lets it make namespaces (Linux): try it as root." >&2
    exit 1
fi
for program in containerd ctr runc iptables ip nsenter ldd strip openssl; do
    command -v "$program" >/dev/null || { echo "flotilla: $program is missing; install it (Debian: containerd runc containernetworking-plugins iptables iproute2 util-linux libc-bin binutils openssl)." >&2; exit 1; }
done
cargo build --workspace --bins --tests
# What the tests mount and start is to be seen by nobody else, and goes with their namespaces.
for kind in mnt net pid; do
    export "FLOTILLA_OUTSIDE_${kind^^}=$(readlink "/proc/self/ns/$kind")"
done
FLOTILLA_STATE=$(mktemp -d)
# Cgroups have no namespace that would go with the processes.
export FLOTILLA_STATE FLOTILLA_CGROUP=flotilla-test-$$
finish() {
    status=$?
    # Empty ones, and nothing else, are what rmdir removes.
    find /sys/fs/cgroup -depth -type d -path "*/$FLOTILLA_CGROUP*" -exec rmdir {} + 2>/dev/null || true
    rmdir "$FLOTILLA_STATE"
    exit "$status"
}
trap finish EXIT
cd tests/kubernetes
PYTHONDONTWRITEBYTECODE=1 "${alone[@]}" python3 -m unittest "${@:-test_node}"
