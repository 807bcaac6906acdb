#!/bin/sh
# Brings back what backup.sh has kept: restore.sh [--replace] DIRECTORY [REPLICAS]
# While no service of the fleet runs: they make streams that are missing, empty, and would write into those that come back.
# --replace first removes the streams of the backup's names that are there, with all that is in them.
set -eu

replace=
if [ "${1-}" = --replace ]; then
    replace=yes
    shift
fi
source=${1:?which directory?}
if ! [ -f "$source/taken-at" ]; then
    echo "flotilla: $source is no whole backup: it has no file taken-at" >&2
    exit 1
fi
# Gateways and stats answer this; where nobody does the nats command says so, and prints nothing.
if nats req --raw --timeout=2s '$SRV.PING' '' 2>/dev/null | grep -q '"name":"flotilla'; then
    echo "flotilla: the fleet still runs: stop all its services first" >&2
    exit 1
fi
there=$(nats stream ls --names --all)
exists() { echo "$there" | grep -qx "$1"; }
for directory in "$source"/*/; do
    name=$(basename "$directory")
    if [ -z "$replace" ] && exists "$name"; then
        echo "flotilla: stream $name exists already. If nothing that is there now is needed, run this with --replace, which removes it." >&2
        exit 1
    fi
done
# All of them before any comes back: queues read from SCHED, and must not read what is to go.
for directory in "$source"/*/; do
    name=$(basename "$directory")
    if exists "$name"; then nats stream rm --force "$name" >/dev/null; fi
done
for directory in "$source"/*/; do
    name=$(basename "$directory")
    said=$(nats backup restore stream --no-progress ${2:+"--replicas=$2"} "$directory" 2>&1) || {
        echo "$said" >&2
        exit 1
    }
    echo "$name"
done
