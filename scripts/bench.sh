#!/usr/bin/env bash
# Builds the benchmark, and the services that it starts, all with the same features; and runs it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case " $* " in
*" --quick "*)
    # Shows that it runs, not how fast: with what the tests have built anyway.
    profile=debug
    cargo build --workspace --bins --tests
    ;;
*)
    # As it is deployed.
    profile=dist
    # The programs of the others are not needed.
    cargo build --profile dist --workspace --exclude flotilla-tests --exclude flotilla-eval --bins
    ;;
esac
target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')

# Only these need the model; with `all` they are left out where it cannot be had.
if [[ -z ${FLOTILLA_MODEL_DIR+set} ]]; then
    case " $* " in
    *" embeddings "* | *" query "*) FLOTILLA_MODEL_DIR=$(scripts/model.sh) ;;
    *" all "*) FLOTILLA_MODEL_DIR=$(scripts/model.sh --optional) ;;
    *) FLOTILLA_MODEL_DIR= ;;
    esac
    export FLOTILLA_MODEL_DIR
fi

exec "$target/$profile/flotilla-bench" "$@"
