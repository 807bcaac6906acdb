#!/usr/bin/env bash
# Runs the tests of the dashboard in a real Chromium, against a fleet of their own; arguments go to
# Python's unittest.
set -euo pipefail

target=${CARGO_TARGET_DIR:-target}
scripts/chromium.sh
cargo build --bin flotilla
FLOTILLA_BIN=$(realpath "$target/debug/flotilla")
export FLOTILLA_BIN PYTHONDONTWRITEBYTECODE=1
cd tests/dashboard
exec playwright -m unittest "$@"
