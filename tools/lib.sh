# SPDX-License-Identifier: MIT
# Helpers for the scripts of this project: messages, progress, and the cache of what was downloaded or
# built. To be sourced by bash:  . "$(dirname -- "$0")/lib.sh"
# shellcheck shell=bash
set -euo pipefail
shopt -s inherit_errexit

# shellcheck disable=SC2034 # used by those who source this
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
cache=${MINIVMM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/minivmm}

say() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# die MESSAGE [HINT]
die() {
    say "$1"
    [ $# -lt 2 ] || printf '  hint: %s\n' "$2" >&2
    exit 1
}

# The name of this distribution, as /etc/os-release spells it: debian, ubuntu, fedora ...
distribution() {
    # shellcheck disable=SC1091
    (. /etc/os-release && echo "$ID")
}

# mirror SUITE: that of Debian which this computer's apt uses for it; nothing, where it has none.
mirror() {
    local found=
    if command -v apt-get >/dev/null; then
        # shellcheck disable=SC2016 # it is apt-get's variable
        found=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' \
            "Codename: $1" 'Component: main' 2>/dev/null | grep -m1 -E '^(https?|file):') || true
    fi
    echo "$found"
}

# run MESSAGE COMMAND...: says what is being done, and for how long on a terminal (with the size of the folder
# $growing, if that is set); the output of the command is shown only if it fails. The command itself stays in the
# foreground, so that Ctrl-C reaches it.
run() {
    local message=$1 output ticker='' status=0 start=$SECONDS
    shift
    if [ -t 2 ]; then
        (
            while kill -0 $$ 2>/dev/null; do
                printf '\r%s: %s ... %d s%s ' "${0##*/}" "$message" $((SECONDS - start)) \
                    "${growing:+, $(du -sh "$growing" 2>/dev/null | cut -f1)}" >&2
                sleep 1
            done
        ) &
        ticker=$!
    else
        say "$message ..."
    fi
    output=$("$@" 2>&1 </dev/null) || status=$?
    if [ -n "$ticker" ]; then
        kill "$ticker" 2>/dev/null || true
        wait "$ticker" 2>/dev/null || true
        printf '\r\033[K%s: %s: %s after %d s\n' "${0##*/}" "$message" \
            "$([ $status = 0 ] && echo "done" || echo "FAILED")" $((SECONDS - start)) >&2
    fi
    if [ $status != 0 ]; then
        say "failed with status $status: $*"
        tail -n 30 <<<"$output" | sed 's/^/  | /' >&2
    fi
    return $status
}

# cached NAME FUNCTION [ARGUMENT...]: prints the path of the entry NAME of the cache. Where it is missing, FUNCTION is
# called with an empty folder and its arguments, and fills the folder, which then appears under its name at once and
# whole. NAME holds the version or the checksum of what the entry is made from, so an entry never changes.
cached() (
    name=$1 entry=$cache/$1 make=$2
    shift 2
    if [ ! -e "$entry" ]; then
        mkdir -p "$cache"
        exec {lock}>"$cache/.lock-$name"
        flock -n "$lock" || { say "waiting for another process that makes $name" && flock "$lock"; }
        if [ ! -e "$entry" ]; then
            new=$(mktemp -d "$cache/.new-XXXXXX")
            trap 'rm -rf "$new" "$cache/.lock-$name"' EXIT
            trap 'exit 130' INT
            trap 'exit 143' TERM
            "$make" "$new" "$@" >&2
            chmod 755 "$new"
            mv -T "$new" "$entry"
        fi
    fi
    echo "$entry"
)
