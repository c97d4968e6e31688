# shellcheck shell=bash
# What start.sh, test.sh and with-postgres.sh share. Sourced, never run.

say() { printf '%s\n' "$*"; }
fail() {
    printf '\n%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# need_packages PACKAGE…: installs Debian packages, or says exactly which are missing and ends.
need_packages() {
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get)
    command -v apt-get >/dev/null ||
        fail "these are missing and this is no Debian machine, please install them: $*"
    if [[ $(id -u) -ne 0 ]]; then
        if command -v sudo >/dev/null && { [[ -t 0 ]] || sudo -n true 2>/dev/null; }; then
            apt=(sudo "${apt[@]}")
        else
            fail "these Debian packages are missing, please run as root:
    apt-get update && apt-get install --no-install-recommends $*"
        fi
    fi
    say "installing Debian packages: $*"
    "${apt[@]}" update -qq </dev/null
    "${apt[@]}" install -qq -y --no-install-recommends "$@" </dev/null >/dev/null
}

# need_rust: puts cargo on the path, or says how to get it.
need_rust() {
    local wanted have
    if ! command -v cargo >/dev/null && [[ -x ${HOME:-}/.cargo/bin/cargo ]]; then
        PATH=$HOME/.cargo/bin:$PATH
    fi
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    command -v cargo >/dev/null || fail "Rust $wanted or newer is missing: install it with rustup, then run this again"
    have=$(rustc --version | cut -d' ' -f2)
    [[ $(printf '%s\n' "$wanted" "$have" | sort -V | head -n1) == "$wanted" ]] ||
        fail "Rust $have is too old, nodeloom needs $wanted or newer: rustup update"
}

# need_c_compiler: two dependencies (aws-lc, SQLite) are C.
need_c_compiler() {
    command -v cc >/dev/null && [[ -e /usr/include/stdio.h ]] || need_packages gcc libc6-dev
}

# --- A private PostgreSQL ------------------------------------------------------------------------

postgres_home=
postgres_as=()

# postgres_bin: the newest installed server's folder; empty when there is none.
postgres_bin() {
    local initdb
    initdb=$(find /usr/lib/postgresql -maxdepth 3 -name initdb 2>/dev/null | sort -V | tail -n1 || true)
    [[ -n $initdb ]] || initdb=$(command -v initdb || true)
    [[ -z $initdb ]] || dirname "$(readlink -f "$initdb")"
}

free_port() {
    python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}

# start_postgres [durable]: a throw-away cluster on a free loopback port. Sets postgres_url.
# Without `durable` it does not wait for the disk: right for tests, wrong for measurements.
start_postgres() {
    local bin port try options
    bin=$(postgres_bin)
    if [[ -z $bin ]]; then
        need_packages postgresql
        bin=$(postgres_bin)
    fi
    postgres_home=$(mktemp -d "${TMPDIR:-/tmp}/nodeloom-postgres.XXXXXX")
    # The server refuses to run as root.
    if [[ $(id -u) -eq 0 ]]; then
        chown postgres "$postgres_home"
        postgres_as=(runuser -u postgres --)
    fi
    # initdb complains when it cannot enter the folder it is called from.
    (
        cd "$postgres_home"
        "${postgres_as[@]}" "$bin/initdb" -D "$postgres_home/data" -U postgres --auth=trust \
            --encoding=UTF8 --no-locale --no-sync >"$postgres_home.log" 2>&1
    ) || { cat "$postgres_home.log" >&2; fail "initdb failed"; }
    for try in 1 2 3; do
        port=$(free_port)
        options="-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories= -c max_connections=200"
        [[ ${1:-} == durable ]] || options+=" -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
        if (
            cd "$postgres_home"
            "${postgres_as[@]}" "$bin/pg_ctl" start -w -t 30 -s -D "$postgres_home/data" \
                -l "$postgres_home/server.log" -o "$options" </dev/null
        ); then
            # shellcheck disable=SC2034 # read by the scripts that source this
            postgres_url="postgres://postgres@127.0.0.1:$port/postgres"
            say "PostgreSQL $("$bin/postgres" --version | grep -o '[0-9.]*' | head -n1) listens on 127.0.0.1:$port"
            return 0
        fi
        say "PostgreSQL did not start (try $try)"
    done
    cat "$postgres_home/server.log" >&2 || true
    fail "PostgreSQL did not start"
}

# stop_postgres: ends the server that start_postgres started (by the pid in its folder) and removes it.
stop_postgres() {
    [[ -n $postgres_home ]] || return 0
    local bin
    bin=$(postgres_bin)
    if [[ -e $postgres_home/data/postmaster.pid ]]; then
        (cd "$postgres_home" && "${postgres_as[@]}" "$bin/pg_ctl" stop -w -t 30 -s -m immediate -D "$postgres_home/data") || true
    fi
    rm -rf -- "$postgres_home" "$postgres_home.log"
    postgres_home=
}
