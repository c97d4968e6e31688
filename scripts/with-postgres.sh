#!/usr/bin/env bash
# Runs a command beside a private PostgreSQL that lives only as long as the command does:
#
#   scripts/with-postgres.sh [--durable] COMMAND [ARGUMENT…]
#
# The command finds it in NODELOOM_TEST_POSTGRES. With --durable every commit waits for the disk,
# as a real server's would: for measurements.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

mode=
if [[ ${1:-} == --durable ]]; then
    mode=durable
    shift
fi
[[ $# -gt 0 ]] || fail "usage: scripts/with-postgres.sh [--durable] COMMAND [ARGUMENT…]"

command -v python3 >/dev/null || need_packages python3
trap stop_postgres EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
start_postgres "$mode"
NODELOOM_TEST_POSTGRES=$postgres_url "$@"
