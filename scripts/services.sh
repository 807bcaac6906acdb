#!/usr/bin/env bash
# Runs one process per service against NATS_URL. They stop together: on Ctrl-C, or when one ends.
set -euo pipefail

# Where the first of them serves its metrics and probes; the others follow.
ops_port=${FLOTILLA_OPS_PORT:-9464}

if [[ -z ${NATS_URL:-} ]]; then
    echo "flotilla: NATS_URL is not set; separate services need a running server with JetStream." >&2
    echo "Start one with 'nats-server --jetstream' and set NATS_URL=nats://127.0.0.1:4222," >&2
    echo "or use './just up', which brings its own." >&2
    exit 1
fi

# Without the model the services run all the same.
FLOTILLA_MODEL_DIR=${FLOTILLA_MODEL_DIR-$(scripts/model.sh --optional)}
export FLOTILLA_MODEL_DIR

cargo build --release --bins
# By the configuration: whoever has no categories of their own needs no bridge.
listed=$(cargo run --quiet --release --bin flotilla -- services "$@")
mapfile -t services <<<"$listed"

stopping=
stop() {
    # Once: a service may take a second signal as an order to drop its work.
    if [[ -n $stopping ]]; then return 0; fi
    stopping=yes
    # shellcheck disable=SC2046 # one word per process id
    kill -TERM $(jobs -rp) 2>/dev/null || true
}
trap stop INT TERM

# With job control each service has its own process group, so that Ctrl-C in the terminal reaches
# only this script.
set -m

pids=()
for service in "${services[@]}"; do
    if [[ -n $stopping ]]; then break; fi
    # Already built: this only spares us knowing the target directory. cargo replaces itself with
    # the service, so the process id is the service's.
    cargo run --quiet --release --bin "flotilla-$service" -- \
        --set "ops.listen=127.0.0.1:$((ops_port + ${#pids[@]}))" "$@" </dev/null &
    pids+=($!)
done

status=0
wait -n || true # returns when a service ends, and after a signal
if [[ -z $stopping ]]; then
    # Services run until they are told to stop: an early end is a failure, whatever its status.
    echo "flotilla: a service ended; stopping the others" >&2
    status=1
fi

stop
for pid in "${pids[@]}"; do
    # A further signal interrupts `wait`, not the service: it bounds its own shutdown.
    while kill -0 "$pid" 2>/dev/null; do wait "$pid" || true; done
    wait "$pid" || status=1
done
exit "$status"
