#!/usr/bin/env bash
# Runs a fleet, one process per service, and a Prometheus that scrapes it with the configuration, rules
# and alerts of deploy/prometheus. What each process tells has to please promtool, the rules their own
# tests, and each query of Grafana's dashboards has to find what it asks for. A second Prometheus takes
# what the processes push by OTLP, and has to know the same.
set -euo pipefail

services=(gateway stats scraping query embedding batch maintenance)
target=${CARGO_TARGET_DIR:-target}
directory=$(mktemp -d)
processes=()
finish() {
    status=$?
    if ((status != 0)); then tail -n 20 "$directory"/*.log >&2; fi
    for process in "${processes[@]}"; do kill -TERM "$process" 2>/dev/null || true; done
    for process in "${processes[@]}"; do wait "$process" 2>/dev/null || true; done
    rm -rf "$directory"
}
trap finish EXIT

# free_ports N: so many, different ones
free_ports() {
    python3 -c '
import socket, sys
sockets = [socket.socket() for _ in range(int(sys.argv[1]))]
for s in sockets: s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in sockets))' "$1"
}

# until_it_answers URL PROCESS NAME
until_it_answers() {
    for _ in {1..600}; do
        if curl --silent --fail --max-time 5 --output /dev/null "$1"; then return; fi
        kill -0 "$2" 2>/dev/null || { echo "flotilla: $3 has ended" >&2; return 1; }
        sleep 0.1
    done
    echo "flotilla: $3 does not answer well at $1" >&2
    curl --silent --max-time 5 "$1" >&2
    return 1
}

promtool check config --lint=all --lint-fatal deploy/prometheus/prometheus.yml
promtool test rules tests/prometheus/alerts.yml

# With the tests, as they are built before: otherwise much is compiled twice.
cargo build --workspace --bins --tests
read -r nats api prometheus pushed ops_ports <<<"$(free_ports $((4 + ${#services[@]})))"
read -ra ops <<<"$ops_ports"
# The streams reserve more than the server would grant on a nearly full disk.
echo "jetstream { store_dir: \"$directory/nats\", max_file_store: 20GB }" >"$directory/nats.conf"
"${FLOTILLA_NATS_SERVER:-nats-server}" --config "$directory/nats.conf" --addr 127.0.0.1 --port "$nats" \
    >"$directory/nats.log" 2>&1 &
processes+=($!)
until (exec 3<>"/dev/tcp/127.0.0.1/$nats") 2>/dev/null; do
    kill -0 "${processes[0]}" || { echo "flotilla: nats-server has ended" >&2; exit 1; }
    sleep 0.1
done

cp -R deploy/prometheus "$directory/prometheus"
rm "$directory"/prometheus/targets/*
printf -- '- targets: [%s]\n  labels: {namespace: tests}\n' "$(printf '"127.0.0.1:%s",' "${ops[@]}")" >"$directory/prometheus/targets/test.yml"
# start_prometheus PORT CONFIGURATION [ARGUMENTS]
start_prometheus() {
    prometheus --config.file "$2" --storage.tsdb.path "$directory/tsdb-$1" \
        --web.listen-address "127.0.0.1:$1" "${@:3}" >"$directory/prometheus-$1.log" 2>&1 &
    processes+=($!)
    until_it_answers "http://127.0.0.1:$1/-/ready" "${processes[-1]}" prometheus
}

# Takes what is pushed to it, and scrapes nobody.
echo '{}' >"$directory/pushed.yml"
start_prometheus "$pushed" "$directory/pushed.yml" --web.enable-otlp-receiver

first=${#processes[@]}
for index in "${!services[@]}"; do
    service=${services[$index]}
    OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://127.0.0.1:$pushed/api/v1/otlp/v1/metrics \
        OTEL_METRIC_EXPORT_INTERVAL=1000 \
        NATS_URL=nats://127.0.0.1:$nats FLOTILLA_MODEL_DIR='' "$target/debug/flotilla-$service" \
        --set "ops.listen=127.0.0.1:${ops[$index]}" --set "gateway.listen=127.0.0.1:$api" \
        --set 'scraping.allow_networks=["127.0.0.0/8"]' --set browser.enabled=false --set log.level=warn \
        >"$directory/$service.log" 2>&1 &
    processes+=($!)
done
for index in "${!services[@]}"; do
    for probe in livez readyz startupz; do
        until_it_answers "http://127.0.0.1:${ops[$index]}/$probe" "${processes[$((index + first))]}" "${services[$index]}"
    done
done

start_prometheus "$prometheus" "$directory/prometheus/prometheus.yml"
python3 tests/prometheus/queries.py "http://127.0.0.1:$prometheus" "http://127.0.0.1:$api" "${#services[@]}"
python3 tests/prometheus/pushed.py "http://127.0.0.1:$prometheus" "http://127.0.0.1:$pushed"

for index in "${!services[@]}"; do
    curl --silent --show-error --fail "http://127.0.0.1:${ops[$index]}/metrics" >"$directory/metrics"
    promtool check metrics <"$directory/metrics" ||
        { echo "flotilla: promtool finds fault with what ${services[$index]} tells (above)" >&2; exit 1; }
done
echo "metrics, rules and dashboards agree"
