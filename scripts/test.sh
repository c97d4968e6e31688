#!/usr/bin/env bash
# Every check of nodeloom, from a clean checkout on a Debian machine with Rust:
#
#   scripts/test.sh          about ten minutes on two cores, most of it the first build
#   scripts/test.sh --full   the long counts too; needs a release build
#
# It installs what is missing (Debian packages when it may, else it says which), starts what it
# needs on free loopback ports, and stops it at the end. Everything else stays in ./target.
#
# NODELOOM_ADVISORY_DB: the RustSec advisories, for machines without a way to GitHub: a folder or
# .tar.xz that holds the clone as cargo-deny names it, or `fetch` to bring it from the network.
# Default: ../shared/advisory-db.tar.xz where that exists; otherwise advisories are not checked.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh
# shellcheck source=scripts/lib-servers.sh
source scripts/lib-servers.sh

full=
for argument in "$@"; do
    case $argument in
    --full) full=1 ;;
    *) fail "unknown argument $argument; usage: scripts/test.sh [--full]" ;;
    esac
done

export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-auto}
[[ -z ${CI:-} ]] || export CARGO_INCREMENTAL=0
[[ -z $full ]] || export NODELOOM_FULL=1
# Tests make their own settings; a developer's own must not reach them.
unset DATABASE_URL ADMIN_EMAIL ADMIN_PASSWORD APP_ENV APP_BASE_URL APP_TRUSTED_PROXIES \
    CREDENTIALS_DIRECTORY NODELOOM_LISTEN NODELOOM_DATA_DIR "${!APP_ENCRYPTION_KEY@}"

target=${CARGO_TARGET_DIR:-target}
tools=$PWD/target/tools
passed=0
failed=()

# step TITLE COMMAND…: runs it, times it, counts it; a failure does not keep the later steps from running.
step() {
    local title=$1 started=$SECONDS code=0
    shift
    printf '\n=== %s\n' "$title"
    set +e
    (
        set -e
        "$@"
    ) </dev/null
    code=$?
    set -e
    if [[ $code -eq 0 ]]; then
        passed=$((passed + 1))
        printf -- '--- ok: %s (%d s)\n' "$title" $((SECONDS - started))
    else
        failed+=("$title")
        printf -- '--- FAILED: %s (exit %d, %d s)\n' "$title" "$code" $((SECONDS - started))
    fi
}

# --- What the steps need -------------------------------------------------------------------------

prepare() {
    local missing=()
    need_rust
    need_c_compiler
    # A minimal toolchain comes without these two.
    if ! { cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1; then
        rustup component add rustfmt clippy
    fi

    python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3 python3-venv)
    [[ -n $(postgres_bin) ]] || missing+=(postgresql)
    [[ -n $(find_chromium) ]] || missing+=(chromium)
    command -v openssl >/dev/null || missing+=(openssl)
    command -v setpriv >/dev/null && command -v prlimit >/dev/null || missing+=(util-linux)
    command -v node >/dev/null || missing+=(nodejs)
    command -v npm >/dev/null || missing+=(npm)
    mapfile -t -O "${#missing[@]}" missing < <(servers_missing)
    [[ ${#missing[@]} -eq 0 ]] || need_packages "${missing[@]}"

    if ! cmp -s scripts/requirements.txt "$tools/requirements.txt"; then
        say "installing the Python tools of scripts/requirements.txt"
        rm -rf -- "$tools"
        mkdir -p "$tools"
        python3 -m venv "$tools/python"
        "$tools/python/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: \
            -r scripts/requirements.txt
        cp scripts/requirements.txt "$tools/requirements.txt"
    fi
    if ! cmp -s scripts/oidc-provider/package-lock.json "$tools/oidc-provider/package-lock.json" ||
        [[ ! -e $tools/oidc-provider/installed ]]; then
        say "installing the identity provider of scripts/oidc-provider"
        rm -rf -- "$tools/oidc-provider"
        cp -R scripts/oidc-provider "$tools/oidc-provider"
        (cd "$tools/oidc-provider" && npm ci --silent)
        touch "$tools/oidc-provider/installed"
    fi
    cp scripts/oidc-provider/server.mjs "$tools/oidc-provider/"
    cargo fetch --locked

    NODELOOM_TEST_PYTHON=$tools/python/bin/python
    NODELOOM_TEST_CHROMIUM=$(find_chromium)
    export NODELOOM_TEST_PYTHON NODELOOM_TEST_CHROMIUM
}

find_chromium() { command -v chromium || command -v chromium-browser || true; }

# --- Steps ---------------------------------------------------------------------------------------

format() { cargo fmt --all --check; }

lint() { cargo clippy --workspace --all-targets --locked -- -D warnings; }

api_docs() { RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet; }

shell_scripts() { "$tools/python/bin/shellcheck" -x scripts/*.sh .ci/run; }

source_rules() { bash scripts/check-source.sh; }

dependencies() {
    local database=${NODELOOM_ADVISORY_DB:-} deny=("$tools/python/bin/cargo-deny" --locked)
    if [[ -z $database && -e ../shared/advisory-db.tar.xz ]]; then
        database=../shared/advisory-db.tar.xz
    fi
    if [[ -z $database ]]; then
        say "advisories were NOT checked: set NODELOOM_ADVISORY_DB (a folder, a .tar.xz, or fetch)"
        "${deny[@]}" --offline check --allow duplicate bans licenses sources
        return
    fi
    if [[ $database == fetch ]]; then
        "${deny[@]}" check --allow duplicate
        return
    fi
    # deny.toml looks for the advisories here.
    rm -rf -- target/advisory-db
    mkdir -p target/advisory-db
    if [[ -d $database ]]; then
        cp -R -- "$database"/. target/advisory-db/
    else
        tar -xJf "$database" -C target/advisory-db
    fi
    say "advisories: the newest is of $(grep -rhoE '^date = "[0-9-]+"' target/advisory-db/advisory-db-*/crates |
        sort | tail -n1 | cut -d'"' -f2)"
    "${deny[@]}" --offline check --allow duplicate
}

build() { cargo build --workspace --locked --bins; }

doc_tests() { cargo test --workspace --doc --locked --quiet; }

tests() {
    if cargo nextest --version >/dev/null 2>&1; then
        cargo nextest run --workspace --locked --no-fail-fast
    else
        cargo test --workspace --all-targets --locked --no-fail-fast
    fi
}

generated_files() { bash scripts/generate.sh --check; }

browser() {
    "$NODELOOM_TEST_PYTHON" scripts/browser/check.py --binary "$target/debug/nodeloom" \
        --chromium "$NODELOOM_TEST_CHROMIUM" --screenshots target/screenshots
}

single_sign_on() {
    "$NODELOOM_TEST_PYTHON" scripts/browser/single_sign_on.py --binary "$target/debug/nodeloom" \
        --chromium "$NODELOOM_TEST_CHROMIUM" --provider "$tools/oidc-provider/server.mjs" \
        --screenshots target/screenshots
}

contract() {
    "$NODELOOM_TEST_PYTHON" scripts/contract/check.py --binary "$target/debug/nodeloom" \
        --schemathesis "$tools/python/bin/st" --examples "$([[ -n $full ]] && echo 100 || echo 10)"
}

random_keys() { cargo run --release --locked -p nodeloom-bench -- random-keys --count 10000000; }

# --- Run -----------------------------------------------------------------------------------------

trap 'stop_servers; stop_postgres' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "=== preparing"
prepare
start_postgres
# shellcheck disable=SC2154 # start_postgres sets it
export NODELOOM_TEST_POSTGRES=$postgres_url
start_servers

step "format" format
step "lint" lint
step "documentation builds" api_docs
step "shell scripts" shell_scripts
step "source rules" source_rules
step "dependencies" dependencies
step "build" build
step "generated files" generated_files
step "documentation examples" doc_tests
step "tests, with both databases and the servers of connection tests" tests
step "API document against the server" contract
step "browser" browser
step "single sign-on at a real identity provider" single_sign_on
if [[ -n $full ]]; then
    step "10 million random keys" random_keys
else
    say
    say "reduced: random keys (the tests' own count instead of 10,000,000; scripts/test.sh --full)"
    say "reduced: API document (10 cases of each operation instead of 100; scripts/test.sh --full)"
    say "reduced: accumulated XAES vectors (10,000 rounds instead of 1,000,000; scripts/test.sh --full)"
fi

say
say "took $((SECONDS / 60)) min $((SECONDS % 60)) s"
for title in ${failed[@]+"${failed[@]}"}; do
    say "failed: $title"
done
say "steps: $passed passed, ${#failed[@]} failed"
[[ ${#failed[@]} -eq 0 ]]
