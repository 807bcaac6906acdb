#!/bin/sh
# Backs all streams of a fleet up, while it runs: backup.sh DIRECTORY
# By the nats command (0.5 or newer), which NATS_URL, a context of its own (NATS_CONTEXT) or its other variables tell where.
# ../KUBERNETES.md says what a backup is good for.
set -eu

target=${1:?which directory?}
if [ -e "$target" ]; then
    echo "flotilla: $target exists already: a backup gets a directory of its own" >&2
    exit 1
fi
names=$(nats stream ls --names --all)
# In the order in which tasks move, each stream before where its messages go. What moves meanwhile is then in both, which
# does no harm: a task that has its outcome is not run again. The other way round it would be in neither.
# Statistics name the last record and event that are in them, and so come before these.
order=SCHED
for name in $names; do
    case $name in TASKS_*) order="$order $name" ;; esac
done
for name in $order STATS RESULTS DEAD ENDED DOCUMENTS OBJ_flotilla CONTROL EVENTS; do
    if ! echo "$names" | grep -qx "$name"; then
        echo "flotilla: there is no stream $name; is this the fleet's server and account?" >&2
        exit 1
    fi
    mkdir -p "$target/$name"
    said=$(nats backup stream --no-progress "$name" "$target/$name" 2>&1) || {
        echo "$said" >&2
        exit 1
    }
    echo "$name"
done
# A directory of this name is whole.
date -u +%FT%TZ >"$target/taken-at"
