#!/usr/bin/env bash
# Sends the gateway what its own description (/api/openapi.json) allows and what it does not, and
# holds the answers against it: Schemathesis, on a fleet of its own that scrapes nothing.
set -euo pipefail

target=${CARGO_TARGET_DIR:-target}
directory=$(mktemp -d)
fleet=
finish() {
    if [[ -n $fleet ]]; then
        kill -TERM "$fleet" 2>/dev/null || true
        wait "$fleet" 2>/dev/null || true
    fi
    rm -rf "$directory"
}
trap finish EXIT

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

cargo build --bin flotilla
address=127.0.0.1:$(free_port)
# Without scraping, so that no made-up address is ever asked for. What waits is bounded, and nobody
# waits long.
"$target/debug/flotilla" up --listen "$address" --nats-port "$(free_port)" --data-dir "$directory/data" \
    --set 'fleet.categories=["query","embedding","batch","maintenance"]' \
    --set gateway.wait_max=1s --set gateway.query_wait=500ms --set log.level=warn \
    >"$directory/fleet.log" 2>&1 &
fleet=$!

for _ in {1..600}; do
    if curl --silent --fail "http://$address/api/hp/health" >/dev/null; then break; fi
    kill -0 "$fleet" 2>/dev/null || { cat "$directory/fleet.log" >&2; exit 1; }
    sleep 0.1
done

cp tests/api/schemathesis.toml "$directory/"
status=0
(cd "$directory" && schemathesis --config-file schemathesis.toml run "http://$address/api/openapi.json" "$@") || status=$?
if ((status != 0)); then tail -n 50 "$directory/fleet.log" >&2; fi
kill -0 "$fleet" 2>/dev/null || { echo "flotilla: the fleet did not live through it" >&2; status=1; }
exit "$status"
