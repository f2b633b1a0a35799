#!/bin/bash
# Stops the embedded Postgres of a state directory and removes the data that lies outside of it, with nothing but a
# shell: `make clean` where .venv does not work any more. Elsewhere it uses `movierec db destroy`.
#
# Usage: clean.sh STATE_DIRECTORY

fail() {
    echo "$1" >&2
    exit 1
}

state=$(cd "$1/postgres" 2>/dev/null && pwd -P) || exit 0
place=$state
if [ -f "$state/location" ]; then # run by root, the data may lie where the server's account can enter
    place=$(cat "$state/location")
    owner=$(cat "$place/owner" 2>/dev/null)
    if [ -n "$owner" ] && ! [ "$owner" -ef "$state" ] && [ "$(cat "$owner/location" 2>/dev/null)" = "$place" ]; then
        echo "The database in $place belongs to $owner, of which this is a copy; it stays."
        exit 0
    fi
fi

command_of() {
    { tr '\0' ' ' <"/proc/$1/cmdline"; } 2>/dev/null || ps -o args= -p "$1" 2>/dev/null
}

# A pid file outlives a killed server, when its number may be anybody's, and is copied along with its directory.
is_ours() {
    local command started
    command="$(command_of "$1") "
    case $command in *postgres*) ;; *) return 1 ;; esac
    [ "/proc/$1/cwd" -ef "$place/data" ] && return 0
    case $command in *" -D $place/data "*) return 0 ;; esac
    started=$(sed -n 2p "$place/data/postmaster.pid") # where the data was when the server was started
    case $command in *" -D $started "*) [ -n "$started" ] && ! [ -e "$started" ] ;; *) return 1 ;; esac
}

wait_for_end() { # of process $1, for $2 tenths of a second
    for ((tenth = 0; tenth < $2; tenth++)); do
        kill -0 "$1" 2>/dev/null || return 0
        sleep 0.1
    done
    return 1
}

pid=$(sed -n 1p "$place/data/postmaster.pid" 2>/dev/null)
if [[ $pid =~ ^[1-9][0-9]*$ ]] && is_ours "$pid"; then
    if command -v flock >/dev/null && ! flock --nonblock "$state/lease.lock" true; then
        fail "The embedded Postgres of $1 (pid $pid) is in use. End what uses it, or stop it with 'kill -INT $pid'."
    fi
    kill -INT "$pid"
    wait_for_end "$pid" 600 || { kill -QUIT "$pid" && wait_for_end "$pid" 150; } ||
        fail "Postgres (pid $pid) on $place/data does not stop; 'kill -9 $pid' ends it."
fi
if [ "$place" != "$state" ]; then
    rm -rf "$place"
    rmdir "$(dirname "$place")" 2>/dev/null
fi
exit 0
