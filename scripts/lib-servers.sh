# shellcheck shell=bash
# The servers that connection tests sign in to. Sourced after lib.sh by test.sh and with-servers.sh.
#
# All of them listen on free loopback ports, run without privileges, and live in one folder. The
# packages are those that hold the programs alone: nothing is installed as a service of the system.

servers_home=
servers_as=()
servers_pids=()

# servers_missing: prints the Debian packages that are not there yet.
servers_missing() {
    { [[ -x /usr/sbin/mariadbd ]] || command -v mariadbd >/dev/null; } || printf 'mariadb-server-core\n'
    # Debian's redis-tools holds the server's program under the name of its checker.
    { command -v redis-server || command -v redis-check-rdb; } >/dev/null || printf 'redis-tools\n'
    [[ -n $(postgres_bin) ]] || printf 'postgresql\n'
    command -v openssl >/dev/null || printf 'openssl\n'
    command -v setpriv >/dev/null || printf 'util-linux\n'
}

# servers_run NAME COMMAND…: starts it in the background, its output in NAME.log.
servers_run() {
    local name=$1
    shift
    (cd "$servers_home" && exec "${servers_as[@]}" "$@") >"$servers_home/$name.log" 2>&1 &
    servers_pids+=($!)
}

# servers_wait NAME PORT: until the port accepts connections, 30 seconds at most.
servers_wait() {
    local try
    for ((try = 0; try < 300; try++)); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$2") 2>/dev/null; then
            say "$1 listens on 127.0.0.1:$2"
            return 0
        fi
        sleep 0.1
    done
    cat "$servers_home/$1.log" >&2 || true
    fail "$1 did not start"
}

# servers_certificates: a private authority and a certificate for localhost and 127.0.0.1.
servers_certificates() {
    (
        cd "$servers_home/tls"
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
            -subj "/CN=nodeloom test authority" -keyout ca.key -out ca.pem
        openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
            -subj "/CN=localhost" -keyout server.key -out server.csr
        printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' >server.ext
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
            -extfile server.ext -out server.pem
        chmod 600 server.key
    ) 2>"$servers_home/openssl.log" || { cat "$servers_home/openssl.log" >&2; fail "openssl failed"; }
}

# start_servers: PostgreSQL with passwords, MariaDB, Redis, SMTP. Exports NODELOOM_TEST_SIGN_IN_POSTGRES,
# _MARIADB, _REDIS, _REDIS_TLS, _SMTP, _SMTP_TLS, _SMTP_PLAIN (each 127.0.0.1:PORT), _CA (a file),
# and _TLS_CERT and _TLS_KEY, which that authority signed.
start_servers() {
    local python=${NODELOOM_TEST_PYTHON:-target/tools/python/bin/python} missing
    mapfile -t missing < <(servers_missing)
    [[ ${#missing[@]} -eq 0 ]] || need_packages "${missing[@]}"
    "$python" -c 'import aiosmtpd' 2>/dev/null ||
        fail "there is no Python with scripts/requirements.txt: run scripts/test.sh once, or set NODELOOM_TEST_PYTHON"

    servers_home=$(mktemp -d "${TMPDIR:-/tmp}/nodeloom-servers.XXXXXX")
    mkdir "$servers_home/tls"
    servers_certificates
    # Databases refuse to run as root.
    if [[ $(id -u) -eq 0 ]]; then
        chown -R 65534:65534 "$servers_home"
        servers_as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    fi
    # The tests read these.
    chmod 755 "$servers_home" "$servers_home/tls"
    start_sign_in_postgres
    start_mariadb
    start_redis
    start_smtp "$python"
    export NODELOOM_TEST_CA=$servers_home/tls/ca.pem
    export NODELOOM_TEST_TLS_CERT=$servers_home/tls/server.pem
    export NODELOOM_TEST_TLS_KEY=$servers_home/tls/server.key
}

# The password of every test account: it has what quoting and encodings trip over.
readonly servers_password='right/Pass+word:1&%é'

start_sign_in_postgres() {
    local bin port try data=$servers_home/postgres
    bin=$(postgres_bin)
    (
        cd "$servers_home"
        "${servers_as[@]}" "$bin/initdb" -D "$data" -U postgres --auth=reject --encoding=UTF8 \
            --no-locale --no-sync
    ) >"$servers_home/postgres.log" 2>&1 || { cat "$servers_home/postgres.log" >&2; fail "initdb failed"; }
    cat >"$data/pg_hba.conf" <<'HBA'
host      all postgres   127.0.0.1/32 trust
host      all scram      127.0.0.1/32 scram-sha-256
host      all md5        127.0.0.1/32 md5
host      all clear      127.0.0.1/32 password
hostssl   all only_tls   127.0.0.1/32 scram-sha-256
hostnossl all only_plain 127.0.0.1/32 scram-sha-256
HBA
    port=$(free_port)
    servers_run postgres "$bin/postgres" -D "$data" -c listen_addresses=127.0.0.1 -c port="$port" \
        -c unix_socket_directories= -c fsync=off -c ssl=on \
        -c ssl_cert_file="$servers_home/tls/server.pem" -c ssl_key_file="$servers_home/tls/server.key"
    servers_wait postgres "$port"
    # It listens a moment before it lets anyone in.
    for ((try = 0; try < 300; try++)); do
        "$bin/pg_isready" -q -h 127.0.0.1 -p "$port" && break
        sleep 0.1
    done
    PGCLIENTENCODING=UTF8 "$bin/psql" --quiet --no-psqlrc --set ON_ERROR_STOP=1 \
        "host=127.0.0.1 port=$port user=postgres dbname=postgres" <<SQL
CREATE DATABASE app;
CREATE ROLE scram LOGIN PASSWORD '$servers_password';
CREATE ROLE clear LOGIN PASSWORD '$servers_password';
CREATE ROLE only_tls LOGIN PASSWORD '$servers_password';
CREATE ROLE only_plain LOGIN PASSWORD '$servers_password';
CREATE ROLE barred LOGIN PASSWORD '$servers_password';
SET password_encryption = 'md5';
CREATE ROLE md5 LOGIN PASSWORD '$servers_password';
SQL
    export NODELOOM_TEST_SIGN_IN_POSTGRES=127.0.0.1:$port
}

start_mariadb() {
    local server port data=$servers_home/mariadb share=/usr/share/mysql options
    server=$(command -v mariadbd || printf /usr/sbin/mariadbd)
    "${servers_as[@]}" mkdir "$data" "$data-tmp"
    options=(--no-defaults --datadir="$data" --tmpdir="$data-tmp" --innodb-log-file-size=8M
        --innodb-buffer-pool-size=16M --innodb-flush-log-at-trx-commit=0)
    {
        printf 'CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n'
        cat "$share"/{mysql,mariadb}_system_tables.sql "$share"/{mysql,mariadb}_system_tables_data.sql 2>/dev/null || true
        cat <<SQL
FLUSH PRIVILEGES;
CREATE DATABASE app;
CREATE USER 'native'@'127.0.0.1' IDENTIFIED BY '$servers_password';
GRANT ALL ON app.* TO 'native'@'127.0.0.1';
CREATE USER 'only_tls'@'127.0.0.1' IDENTIFIED BY '$servers_password' REQUIRE SSL;
SQL
    } >"$servers_home/mariadb.sql"
    (cd "$servers_home" && "${servers_as[@]}" "$server" "${options[@]}" --bootstrap <"$servers_home/mariadb.sql") \
        >"$servers_home/mariadb.log" 2>&1 || { cat "$servers_home/mariadb.log" >&2; fail "MariaDB could not be set up"; }
    port=$(free_port)
    servers_run mariadb "$server" "${options[@]}" --bind-address=127.0.0.1 --port="$port" \
        --socket="$servers_home/mariadb.sock" --skip-name-resolve --character-set-server=utf8mb4 \
        --ssl-cert="$servers_home/tls/server.pem" --ssl-key="$servers_home/tls/server.key"
    servers_wait mariadb "$port"
    export NODELOOM_TEST_MARIADB=127.0.0.1:$port
}

start_redis() {
    local server=$servers_home/redis-server port tls_port
    ln -s "$(command -v redis-server || command -v redis-check-rdb)" "$server"
    port=$(free_port)
    tls_port=$(free_port)
    cat >"$servers_home/redis.conf" <<CONF
bind 127.0.0.1
port $port
tls-port $tls_port
tls-cert-file $servers_home/tls/server.pem
tls-key-file $servers_home/tls/server.key
tls-auth-clients no
save ""
dir $servers_home
user default on >$servers_password ~* +@all
user ada on >$servers_password ~* +@all
user narrow on >$servers_password ~* -@all +get
CONF
    servers_run redis "$server" "$servers_home/redis.conf"
    servers_wait redis "$port"
    servers_wait redis "$tls_port"
    export NODELOOM_TEST_REDIS=127.0.0.1:$port NODELOOM_TEST_REDIS_TLS=127.0.0.1:$tls_port
}

start_smtp() {
    local starttls tls plain
    starttls=$(free_port)
    tls=$(free_port)
    plain=$(free_port)
    printf 'ada %s\n' "$servers_password" >"$servers_home/smtp.accounts"
    # Python's folder may be out of reach of another user; it serves loopback alone.
    "$1" scripts/servers/smtp.py "$starttls" "$tls" "$plain" "$servers_home/tls/server.pem" \
        "$servers_home/tls/server.key" "$servers_home/mail" <"$servers_home/smtp.accounts" >"$servers_home/smtp.log" 2>&1 &
    servers_pids+=($!)
    servers_wait smtp "$starttls"
    servers_wait smtp "$tls"
    servers_wait smtp "$plain"
    export NODELOOM_TEST_SMTP=127.0.0.1:$starttls NODELOOM_TEST_SMTP_TLS=127.0.0.1:$tls
    export NODELOOM_TEST_SMTP_PLAIN=127.0.0.1:$plain NODELOOM_TEST_MAILBOX=$servers_home/mail
}

# stop_servers: ends what start_servers started, by its process ids, and removes the folder.
stop_servers() {
    local pid
    [[ -n $servers_home ]] || return 0
    for pid in "${servers_pids[@]}"; do
        kill -TERM "$pid" 2>/dev/null || true
    done
    for pid in "${servers_pids[@]}"; do
        wait "$pid" 2>/dev/null || true
    done
    servers_pids=()
    rm -rf -- "$servers_home"
    servers_home=
}
