#!/usr/bin/env bash
# Writes the files that are made from the code:
#
#   scripts/generate.sh           writes them
#   scripts/generate.sh --check   writes nothing, fails where one is out of date
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

check=
case ${1:-} in
'') ;;
--check) check=1 ;;
*) fail "usage: scripts/generate.sh [--check]" ;;
esac

made=$(mktemp -d)
trap 'rm -rf -- "$made"' EXIT

cargo build --quiet --locked -p nodeloom --bin nodeloom
"${CARGO_TARGET_DIR:-target}/debug/nodeloom" openapi >"$made/openapi.json"
python3 scripts/asvs.py >"$made/asvs.md"

stale=0

# keep MADE FILE: FILE is, or becomes, what was made.
keep() {
    if cmp -s "$1" "$2"; then
        say "$2 is up to date"
    elif [[ -n $check ]]; then
        diff -u "$2" "$1" | head -n 40 || true
        say "$2 is out of date: run scripts/generate.sh and commit it"
        stale=1
    else
        cp -- "$1" "$2"
        say "wrote $2"
    fi
}

keep "$made/openapi.json" docs/openapi.json
keep "$made/asvs.md" docs/asvs.md
exit "$stale"
