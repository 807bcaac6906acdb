#!/usr/bin/env bash
# Publishes a scraping task and waits for its outcome, then asks about what the fleet has read, with
# nothing but the nats command line: example.sh [URL], with the server's address in NATS_URL.
set -euo pipefail
export NATS_URL=${NATS_URL:-nats://127.0.0.1:4222}

# run CATEGORY PRIORITY PAYLOAD: submits a task, and prints its record once that is its outcome.
run() {
    local id="example-$$-$RANDOM" record
    # The PubAck means that the task is stored; from then on it ends in exactly one outcome.
    nats pub --jetstream --quiet --no-templates "tasks.$1.$2.$id" "$3"
    for _ in {1..600}; do
        # A direct get of the last message on the task's subject; empty while there is none.
        record=$(nats req --raw "\$JS.API.DIRECT.GET.RESULTS.results.$1.$id" '' 2>/dev/null)
        case $record in
        *'"status":"completed"'*) echo "$record" && return ;;
        *'"status":"failed"'* | *'"status":"cancelled"'* | *'"status":"expired"'*) echo "$record" >&2 && return 1 ;;
        esac
        sleep 0.1
    done
    echo "there is no outcome after a minute" >&2
    return 1
}

run scraping normal "{\"url\": \"${1:-https://example.com/}\"}"
run query critical '{"query": "How long does the warranty last?"}'
