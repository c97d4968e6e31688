#!/usr/bin/env bash
# Runs a command beside the servers that connection tests sign in to: PostgreSQL with passwords,
# MariaDB, Redis and SMTP, which live only as long as the command does:
#
#   scripts/with-servers.sh COMMAND [ARGUMENT…]
#
# The command finds them in NODELOOM_TEST_SIGN_IN_POSTGRES, NODELOOM_TEST_MARIADB, NODELOOM_TEST_REDIS,
# NODELOOM_TEST_SMTP and their like; see start_servers in scripts/lib-servers.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh
# shellcheck source=scripts/lib-servers.sh
source scripts/lib-servers.sh

[[ $# -gt 0 ]] || fail "usage: scripts/with-servers.sh COMMAND [ARGUMENT…]"

command -v python3 >/dev/null || need_packages python3
trap stop_servers EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
start_servers
"$@"
