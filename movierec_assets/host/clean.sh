#!/bin/bash
# Stops the embedded Postgres of a state directory and removes its data outside of that directory. `make clean` uses this
# when .venv does not work any more, and `movierec db destroy` otherwise.
#
# Usage: clean.sh STATE_DIRECTORY

fail() {
    echo "$1" >&2
    exit 1
}

state=$(cd "$1/postgres" 2>/dev/null && pwd -P) || exit 0
data_home=$state
if [ -f "$state/location" ]; then # data of root is where the account of the server may enter
    data_home=$(cat "$state/location")
    owner=$(cat "$data_home/owner" 2>/dev/null)
    if [ -n "$owner" ] && ! [ "$owner" -ef "$state" ] && [ "$(cat "$owner/location" 2>/dev/null)" = "$data_home" ]; then
        echo "The database in $data_home belongs to $owner, of which this is a copy; it stays."
        exit 0
    fi
fi

command_of() {
    { tr '\0' ' ' <"/proc/$1/cmdline"; } 2>/dev/null || ps -o args= -p "$1" 2>/dev/null
}

# A pid file remains after a kill, when its number may belong to another process, and copies of a directory include it.
is_ours() {
    local command started
    command="$(command_of "$1") "
    case $command in *postgres*) ;; *) return 1 ;; esac
    [ "/proc/$1/cwd" -ef "$data_home/data" ] && return 0
    case $command in *" -D $data_home/data "*) return 0 ;; esac
    started=$(sed -n 2p "$data_home/data/postmaster.pid") # path of the data when the server started
    case $command in *" -D $started "*) [ -n "$started" ] && ! [ -e "$started" ] ;; *) return 1 ;; esac
}

wait_for_end() { # of process $1, for $2 tenths of a second
    for ((tenth = 0; tenth < $2; tenth++)); do
        kill -0 "$1" 2>/dev/null || return 0
        sleep 0.1
    done
    return 1
}

pid=$(sed -n 1p "$data_home/data/postmaster.pid" 2>/dev/null)
if [[ $pid =~ ^[1-9][0-9]*$ ]] && is_ours "$pid"; then
    if command -v flock >/dev/null && ! flock --nonblock "$state/lease.lock" true; then
        fail "The embedded Postgres of $1 (pid $pid) is in use. End what uses it, or stop it with 'kill -INT $pid'."
    fi
    kill -INT "$pid"
    wait_for_end "$pid" 600 || { kill -QUIT "$pid" && wait_for_end "$pid" 150; } ||
        fail "Postgres (pid $pid) on $data_home/data does not stop; 'kill -9 $pid' ends it."
fi
if [ "$data_home" != "$state" ]; then
    rm -rf "$data_home"
    rmdir "$(dirname "$data_home")" 2>/dev/null
fi
exit 0
