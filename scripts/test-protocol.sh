#!/usr/bin/env bash
# Has the official AsyncAPI parser read deploy/protocol/asyncapi.json. What is in it is held
# against the code by ./just test.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
source=$root/tests/protocol/asyncapi
command -v npm >/dev/null || {
    echo "flotilla: npm is not on PATH; the AsyncAPI parser comes from npm and needs it. Install Node.js 20 or newer." >&2
    exit 1
}

# By the lock's contents: a newer one gets a place of its own.
tools=${FLOTILLA_TOOLS_DIR:-$root/.tools}
home=$tools/asyncapi-parser-$(sha256sum "$source/package-lock.json" | cut -c 1-12)
if [[ ! -d $home ]]; then
    mkdir -p "$tools"
    fresh=$(mktemp -d "$tools/asyncapi-parser.XXXXXX")
    trap 'rm -rf "$fresh"' EXIT
    cp "$source/package.json" "$source/package-lock.json" "$fresh/"
    npm ci --prefix "$fresh" --ignore-scripts --no-audit --no-fund --silent || {
        echo "flotilla: npm could not install the AsyncAPI parser (its message is above)." >&2
        exit 1
    }
    # Somebody else may have been faster.
    mv -T "$fresh" "$home" 2>/dev/null || true
fi

# Modules are looked for beside the script.
cp "$source/check.mjs" "$home/"
exec node "$home/check.mjs" "${1:-$root/deploy/protocol/asyncapi.json}"
