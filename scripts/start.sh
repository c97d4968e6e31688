#!/usr/bin/env bash
# Builds nodeloom and serves it. Arguments go to `nodeloom serve`.
#
# On a Debian machine with Rust this is all it takes; it installs a C compiler when there is none.
# Without any setting it is a development instance: loopback only, data in ./data.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

need_rust
need_c_compiler

say "building nodeloom (the first time takes several minutes)"
cargo build --release --locked -p nodeloom --bin nodeloom
exec "${CARGO_TARGET_DIR:-target}/release/nodeloom" serve "$@"
