#!/usr/bin/env bash
# Runs Jaeger with deploy/jaeger/jaeger.yaml, and the whole fleet in one process, which tells it of
# every task. They stop together: on Ctrl-C, or when one ends.
set -euo pipefail

query=http://127.0.0.1:${JAEGER_QUERY_PORT:-16686}
grpc=${JAEGER_OTLP_GRPC_PORT:-4317} http=${JAEGER_OTLP_HTTP_PORT:-4318}
directory=$(mktemp -d)
jaeger=
fleet=
stop() { kill -TERM "${fleet:-$$}" 2>/dev/null || true; }
finish() {
    # Jaeger goes last: the fleet's last words are for it.
    for process in $fleet $jaeger; do
        kill -TERM "$process" 2>/dev/null || true
        while kill -0 "$process" 2>/dev/null; do wait "$process" || true; done
    done
    rm -rf "$directory"
}
trap finish EXIT

cargo build --release --bin flotilla --bin flotilla-pdf
FLOTILLA_MODEL_DIR=${FLOTILLA_MODEL_DIR-$(scripts/model.sh --optional)}
export FLOTILLA_MODEL_DIR
export OTEL_EXPORTER_OTLP_ENDPOINT=${OTEL_EXPORTER_OTLP_ENDPOINT:-http://127.0.0.1:$grpc}
export OTEL_EXPORTER_OTLP_PROTOCOL=${OTEL_EXPORTER_OTLP_PROTOCOL:-grpc}
# Jaeger takes only traces.
export OTEL_METRICS_EXPORTER=${OTEL_METRICS_EXPORTER:-none}
# So that tasks and the dashboard link to their traces.
export FLOTILLA_TELEMETRY__TRACE_URL=${FLOTILLA_TELEMETRY__TRACE_URL-$query/trace/\{trace_id\}}

program=${FLOTILLA_JAEGER:-$(command -v jaeger)}
if [[ $program -ef $FLOTILLA_TOOLS_DIR/bin/jaeger ]]; then
    # Built from the Go module, which lacks the user interface: a plain page in its stead.
    export JAEGER_UI_DIR=${JAEGER_UI_DIR:-deploy/jaeger/page}
fi

# With job control each has its own process group, so that Ctrl-C in the terminal reaches only this
# script.
set -m
"$program" --config deploy/jaeger/jaeger.yaml </dev/null >"$directory/log" 2>&1 &
jaeger=$!
until curl --silent --fail --output /dev/null "http://127.0.0.1:${JAEGER_HEALTH_PORT:-13133}/status"; do
    if ! kill -0 "$jaeger" 2>/dev/null; then
        cat "$directory/log" >&2
        echo "flotilla: Jaeger does not start (its message is above). Where a port is taken, deploy/jaeger/jaeger.yaml names the variable that sets it, like JAEGER_OTLP_GRPC_PORT." >&2
        exit 1
    fi
    sleep 0.2
done
echo "Jaeger is at $query, and takes spans on ports $grpc (gRPC) and $http (HTTP)."

trap stop INT TERM
cargo run --quiet --release --bin flotilla -- up "$@" </dev/null &
fleet=$!

status=0
wait -n "$fleet" "$jaeger" || status=$? # returns when one of them ends, and after a signal
if ! kill -0 "$jaeger" 2>/dev/null; then
    cat "$directory/log" >&2
    echo "flotilla: Jaeger has ended (its last words are above); stopping the fleet" >&2
    stop
    status=1
fi
# A further signal interrupts `wait`, not the fleet: it bounds its own shutdown.
while kill -0 "$fleet" 2>/dev/null; do status=0; wait "$fleet" || status=$?; done
exit "$status"
