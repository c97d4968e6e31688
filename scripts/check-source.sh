#!/usr/bin/env bash
# Rules about the source that no compiler and no lint holds. Prints each breach as file:line.
set -euo pipefail
cd "$(dirname "$0")/.."

breaches=0

# ban WHY PATTERN PATHSPEC…: no tracked or new file under the paths may match (extended regex).
ban() {
    local why=$1 pattern=$2 found code=0
    shift 2
    found=$(git grep --untracked -nEI -e "$pattern" -- "$@") || code=$?
    # 1 is "nothing found", more is git's own failure.
    [[ $code -le 1 ]] || exit "$code"
    if [[ -n $found ]]; then
        printf '%s\n    rule: %s\n' "$found" "$why"
        breaches=$((breaches + 1))
    fi
}

ban "sqlx checks one database only and compiles twice with its macros; write the statement as text" \
    '\b(sqlx::)?(query|query_as|query_scalar|query_file)!|\bmigrate!|derive\([^)]*FromRow' 'crates/*.rs' 'bench/*.rs'
ban "sqlx's Any driver fails on BOOLEAN and TIMESTAMPTZ at run time; use the store's engine" \
    'sqlx::(any|Any)|\bAny(Pool|Connection|Row)\b' 'crates/*.rs' 'bench/*.rs'
ban "SQL made at run time belongs in the store's engine" \
    'AssertSqlSafe' 'crates/*.rs' 'bench/*.rs' ':!crates/nodeloom-store/src/engine*' ':!crates/*/tests/*' ':!crates/*/examples/*'
# The HMAC of an AWS request signs towards AWS; it protects nothing that is stored.
ban "only nodeloom-crypto touches ciphers" \
    '\b(aws_lc_rs|aes|xaes_256_gcm)::(aead|cipher|hkdf|hmac|unbound|Aes)' \
    'crates/*.rs' ':!crates/nodeloom-crypto/*' ':!crates/nodeloom-connect/src/placement/sigv4.rs'
ban "only nodeloom-store knows SQL" \
    '\bsqlx::' 'crates/*.rs' ':!crates/nodeloom-store/*' ':!crates/*/tests/*'
# What tests share is compiled once for each of them, and each uses a part of it: an expectation
# would hold in one and fail in the next.
ban "expect a lint with a reason, do not allow it" \
    '#!?\[(cfg_attr\([^]]*)?allow\(' 'crates/*.rs' 'bench/*.rs' ':!crates/*/tests/support/*'
ban "the page's policy forbids inline style, script and handlers" \
    '\bstyle=|\bon(click|load|submit|change|input|error)=|hx-on|javascript:' 'crates/nodeloom-web/src/*.rs' 'crates/nodeloom-web/assets/*'
ban "open work belongs in an issue" \
    '\b(TODO|FIXME|XXX|HACK)\b' 'crates/*.rs' 'bench/*.rs' 'docs/*.md' '*.toml'
ban "a path of one person's machine" \
    '(^|[^A-Za-z0-9_.-])/(home|Users|root)/[A-Za-z0-9._-]+' 'crates/*' 'bench/*' 'docs/*' '*.md' '*.toml' '*.sh' \
    ':!scripts/check-source.sh'
if grep -nE '^source = ' Cargo.lock | grep -vF 'registry+https://github.com/rust-lang/crates.io-index'; then
    printf '    rule: %s\n' "every dependency comes from crates.io"
    breaches=$((breaches + 1))
fi

# Each place that reads a secret says why.
unexplained=$(git ls-files -co --exclude-standard -- 'crates/*.rs' ':!crates/*/tests/*' ':!*/tests.rs' | while read -r file; do
    [[ -e $file ]] || continue
    awk -v file="$file" '
        /^#\[cfg\(test\)\]/ { exit }
        /EXPOSE:/ { last = NR }
        /\.expose\(\)/ && !/^ *\/\// && (last == 0 || NR - last > 4) { print file ":" NR ": " $0 }
    ' "$file"
done)
if [[ -n $unexplained ]]; then
    printf '%s\n    rule: %s\n' "$unexplained" "each .expose() has an EXPOSE: comment at most four lines above that says why"
    breaches=$((breaches + 1))
fi

if [[ $breaches -gt 0 ]]; then
    echo "$breaches rules broken"
    exit 1
fi
echo "source rules hold"
