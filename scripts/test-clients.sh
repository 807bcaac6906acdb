#!/usr/bin/env bash
# Holds the fleet against what tests/clients says of it, with the real client libraries:
# test-clients.sh [--without LANGUAGE]... [--case TEXT] [LANGUAGE]...
#
# What the languages' package managers fetch is kept in $FLOTILLA_TOOLS_DIR/clients, and what is
# built in a temporary directory; Go keeps its modules where it always does. With FLOTILLA_BIN that
# program is tested, and none is built.
set -euo pipefail

known=(python node go java shell)
languages=()
without=()
options=()
while (($#)); do
    case $1 in
    --without) without+=("${2:?--without which language?}") && shift 2 ;;
    --case) options+=("$1" "${2:?--case with which text?}") && shift 2 ;;
    *) languages+=("$1") && shift ;;
    esac
done
if ((${#languages[@]} == 0)); then languages=("${known[@]}"); fi

sources=$PWD/tests/clients
cache=${FLOTILLA_TOOLS_DIR:-$PWD/.tools}/clients
mkdir -p "$cache"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "flotilla: $*" >&2
    exit 1
}

# need PROGRAM LANGUAGE HOW
need() {
    command -v "$1" >/dev/null || fail "$1 is not on PATH, and the suite runs $2 with it. $3, or leave it out: ./just test-clients --without $2"
}

# kept NAME LOCKFILE COMMAND...: the directory that the command has filled, once for each content of
# the lock file. It appears by a single rename, so concurrent runs at worst do the same work twice.
kept() {
    local directory filled lock=$2
    directory=$cache/$1-$(cksum <"$lock" | tr ' ' -)
    if [[ ! -d $directory ]]; then
        filled=$(mktemp -d "$cache/tmp.XXXXXX")
        "${@:3}" "$filled" >&2 || { rm -rf "$filled"; fail "what $1 needs could not be fetched (the message is above)."; }
        mv -T "$filled" "$directory" 2>/dev/null || rm -rf "$filled"
    fi
    echo "$directory"
}

# uses LANGUAGE DRIVER EXAMPLE: the command lines of both
uses() {
    options+=(--driver "$1=$2" --example "$1=$3")
}

# handles LANGUAGE HANDLER: the command line of one that serves a category
handles() {
    options+=(--handler "$1=$2")
}

fetch_python() {
    PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1 \
        python3 -m pip install --quiet --no-deps --only-binary :all: --require-hashes \
        --requirement "$sources/python/requirements.txt" --target "$1"
}

prepare_python() {
    python3 -m pip --version >/dev/null 2>&1 || fail "python3 has no pip, which gets its client library. Install it, or leave it out: ./just test-clients --without python"
    local packages
    packages=$(kept python "$sources/python/requirements.txt" fetch_python)
    uses python "env PYTHONPATH=$packages python3 $sources/python/driver.py" "env PYTHONPATH=$packages python3 $sources/python/example.py"
    handles python "env PYTHONPATH=$packages python3 $sources/python/handler.py"
}

fetch_node() {
    cp "$sources"/node/package*.json "$1/"
    npm ci --prefix "$1" --no-audit --no-fund --loglevel=error --cache "$cache/npm"
}

prepare_node() {
    need node node "Install Node.js 18 or newer"
    need npm node "Install npm"
    local packages
    packages=$(kept node "$sources/node/package-lock.json" fetch_node)
    # Modules are looked for beside the file that imports them.
    mkdir "$work/node"
    cp "$sources"/node/*.mjs "$work/node/"
    ln -s "$packages/node_modules" "$work/node/node_modules"
    uses node "node $work/node/driver.mjs" "node $work/node/example.mjs"
    handles node "node $work/node/handler.mjs"
}

prepare_go() {
    need go go "Install Go 1.26 or newer"
    go build -C "$sources/go" -mod=readonly -buildvcs=false -o "$work/go/" ./driver ./example || fail "the Go programs could not be built (the message is above)."
    uses go "$work/go/driver" "$work/go/example"
}

maven() {
    mvn --quiet --batch-mode --file "$sources/java/pom.xml" -Dmaven.repo.local="$cache/maven" -Dbuilt.in="$work/java" \
        "$@" compile dependency:copy-dependencies -DoutputDirectory="$work/java/lib"
}

prepare_java() {
    need java java "Install a JDK, 17 or newer"
    need mvn java "Install Maven"
    maven --offline >/dev/null 2>&1 || maven || fail "the Java programs could not be built (the message is above)."
    uses java "java -cp '$work/java/classes:$work/java/lib/*' Driver" "java -cp '$work/java/classes:$work/java/lib/*' Example"
}

prepare_shell() {
    scripts/tool.sh nats
    uses shell "python3 $sources/shell/driver.py" "$sources/shell/example.sh"
}

command -v python3 >/dev/null || fail "python3 is not on PATH, and the suite itself is written in it. Install Python 3.9 or newer."
for language in "${languages[@]}" ${without[@]+"${without[@]}"}; do
    case " ${known[*]} " in *" $language "*) ;; *) fail "there is no language $language here: there are ${known[*]}" ;; esac
done
for language in "${languages[@]}"; do
    case " ${without[*]-} " in *" $language "*) echo "flotilla: $language is left out, as told" && continue ;; esac
    "prepare_$language"
done

if [[ -z ${FLOTILLA_BIN:-} ]]; then
    cargo build --bin flotilla
    FLOTILLA_BIN=${CARGO_TARGET_DIR:-target}/debug/flotilla
fi
PYTHONDONTWRITEBYTECODE=1 python3 "$sources/run.py" --flotilla "$FLOTILLA_BIN" "${options[@]}"
