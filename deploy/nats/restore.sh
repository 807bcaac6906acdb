#!/bin/sh
# Brings back what backup.sh has kept: restore.sh DIRECTORY [REPLICAS]
# To a server without the fleet's streams, and before any service of the fleet is started: they would make empty ones.
set -eu

source=${1:?which directory?}
if ! [ -f "$source/taken-at" ]; then
    echo "flotilla: $source is no whole backup: it has no file taken-at" >&2
    exit 1
fi
there=$(nats stream ls --names --all)
for directory in "$source"/*/; do
    name=$(basename "$directory")
    if echo "$there" | grep -qx "$name"; then
        echo "flotilla: stream $name exists already. Stop all services, and remove it (nats stream rm $name) if it is not needed." >&2
        exit 1
    fi
done
for directory in "$source"/*/; do
    name=$(basename "$directory")
    said=$(nats backup restore stream --no-progress ${2:+"--replicas=$2"} "$directory" 2>&1) || {
        echo "$said" >&2
        exit 1
    }
    echo "$name"
done
