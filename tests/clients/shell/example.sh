#!/usr/bin/env bash
# Publishes a scraping task and waits for its outcome, then asks about what the fleet has read, with
# nothing but the nats command line: example.sh [URL], with the server's address in NATS_URL.
set -euo pipefail
export NATS_URL=${NATS_URL:-nats://127.0.0.1:4222}

# scrape URL: submits a task by a plain publish, and prints its record once that is its outcome.
scrape() {
    local id="example-$$-$RANDOM" record
    # The PubAck means that the task is stored; from then on it ends in exactly one outcome.
    nats pub --jetstream --quiet --no-templates "tasks.scraping.normal.$id" "{\"url\": \"$1\"}"
    for _ in {1..600}; do
        # A direct get of the last message on the task's subject.
        record=$(nats req --raw "\$JS.API.DIRECT.GET.RESULTS.results.scraping.$id" '' 2>/dev/null)
        case $record in
        *'"status":"completed"'*) echo "$record" && return ;;
        *'"status":"failed"'* | *'"status":"cancelled"'* | *'"status":"expired"'*) echo "$record" >&2 && return 1 ;;
        esac
        sleep 0.1
    done
    echo "there is no outcome after a minute" >&2
    return 1
}

scrape "${1:-https://example.com/}"
# One request, and the outcome is its reply.
nats req --raw fleet.ask.query '{"query": "How long does the warranty last?"}'
