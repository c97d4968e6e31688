-- The vault: people, keys, sealed values, credentials and the audit chain.
--
-- Ids are 16 bytes (8 for keys), times are microseconds since 1970 in UTC, JSON is text.
-- The PostgreSQL script of the same number has the same tables and columns; it differs in
-- type names, in collations (there the bytewise one has to be asked for) and in the absence
-- of WITHOUT ROWID.

CREATE TABLE instance (
    singleton  INTEGER NOT NULL PRIMARY KEY CHECK (singleton = 1),
    id         BLOB    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE teams (
    id         BLOB    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    CONSTRAINT teams_name UNIQUE (name)
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    id             BLOB    NOT NULL PRIMARY KEY,
    email          TEXT    NOT NULL,
    first_name     TEXT    NOT NULL,
    last_name      TEXT    NOT NULL,
    password_hash  TEXT    NOT NULL,
    state          TEXT    NOT NULL CHECK (state IN ('active', 'deactivated')),
    instance_admin INTEGER NOT NULL CHECK (instance_admin IN (0, 1)),
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    CONSTRAINT users_email UNIQUE (email)
) STRICT, WITHOUT ROWID;

CREATE TABLE memberships (
    user_id    BLOB    NOT NULL REFERENCES users (id),
    team_id    BLOB    NOT NULL REFERENCES teams (id),
    role       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, team_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX memberships_team ON memberships (team_id);

CREATE TABLE root_keys (
    id         BLOB    NOT NULL PRIMARY KEY,
    state      TEXT    NOT NULL CHECK (state IN ('active', 'retired')),
    first_seen INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL,
    wrapped    BLOB
) STRICT, WITHOUT ROWID;

CREATE TABLE data_keys (
    id         BLOB    NOT NULL PRIMARY KEY,
    team_id    BLOB    REFERENCES teams (id),
    purpose    TEXT    NOT NULL CHECK (purpose IN ('seal', 'index', 'audit', 'sign')),
    state      TEXT    NOT NULL CHECK (state IN ('active', 'draining', 'destroyed')),
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- Two indexes, since NULL differs from NULL in a unique index.
CREATE UNIQUE INDEX data_keys_active_team ON data_keys (team_id, purpose)
    WHERE state = 'active' AND team_id IS NOT NULL;
CREATE UNIQUE INDEX data_keys_active_instance ON data_keys (purpose)
    WHERE state = 'active' AND team_id IS NULL;

CREATE TABLE key_slots (
    data_key_id BLOB    NOT NULL REFERENCES data_keys (id),
    root_id     BLOB    NOT NULL REFERENCES root_keys (id),
    envelope    BLOB    NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (data_key_id, root_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX key_slots_root ON key_slots (root_id);

-- team_id is 16 zero bytes for the instance, hence no reference to teams.
CREATE TABLE sealed_values (
    id         BLOB    NOT NULL PRIMARY KEY,
    team_id    BLOB    NOT NULL,
    kind       TEXT    NOT NULL,
    owner_id   BLOB    NOT NULL,
    field      TEXT    NOT NULL,
    generation INTEGER NOT NULL CHECK (generation >= 1),
    key_id     BLOB    NOT NULL REFERENCES data_keys (id),
    envelope   BLOB    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('ok', 'quarantined')),
    reason     TEXT,
    created_at INTEGER NOT NULL,
    CONSTRAINT sealed_values_place UNIQUE (team_id, kind, owner_id, field, generation)
) STRICT;
CREATE INDEX sealed_values_key ON sealed_values (key_id, kind, state);

CREATE TABLE sessions (
    id               BLOB    NOT NULL PRIMARY KEY,
    user_id          BLOB    NOT NULL REFERENCES users (id),
    tag              BLOB    NOT NULL,
    index_key_id     BLOB    NOT NULL REFERENCES data_keys (id),
    created_at       INTEGER NOT NULL,
    last_seen_at     INTEGER NOT NULL,
    authenticated_at INTEGER NOT NULL,
    address          TEXT,
    user_agent       TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_created ON sessions (created_at);
CREATE INDEX sessions_last_seen ON sessions (last_seen_at);
CREATE INDEX sessions_index_key ON sessions (index_key_id);

CREATE TABLE setup_codes (
    id           BLOB    NOT NULL PRIMARY KEY,
    tag          BLOB    NOT NULL,
    index_key_id BLOB    NOT NULL REFERENCES data_keys (id),
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    used_at      INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE sign_in_attempts (
    subject           BLOB    NOT NULL PRIMARY KEY,
    failures          INTEGER NOT NULL,
    window_started_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sign_in_attempts_window ON sign_in_attempts (window_started_at);

CREATE TABLE credentials (
    id              BLOB    NOT NULL PRIMARY KEY,
    team_id         BLOB    NOT NULL REFERENCES teams (id),
    name            TEXT    NOT NULL,
    sort_key        TEXT    NOT NULL,
    type            TEXT    NOT NULL,
    generation      INTEGER NOT NULL CHECK (generation >= 1),
    revision        INTEGER NOT NULL CHECK (revision >= 1),
    fields          TEXT    NOT NULL,
    created_at      INTEGER NOT NULL,
    created_by      BLOB,
    created_by_name TEXT    NOT NULL,
    updated_at      INTEGER NOT NULL,
    updated_by      BLOB,
    updated_by_name TEXT    NOT NULL,
    CONSTRAINT credentials_name UNIQUE (team_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX credentials_sorted ON credentials (team_id, sort_key, id);
CREATE INDEX credentials_sorted_by_type ON credentials (team_id, type, sort_key, id);

-- No reference to credentials: a number that was used once stays used.
CREATE TABLE credential_versions (
    credential_id   BLOB    NOT NULL,
    generation      INTEGER NOT NULL CHECK (generation >= 1),
    created_at      INTEGER NOT NULL,
    created_by      BLOB,
    created_by_name TEXT    NOT NULL,
    fields          TEXT    NOT NULL,
    PRIMARY KEY (credential_id, generation)
) STRICT, WITHOUT ROWID;

-- Sort key and type are here too, so that a search is answered from this table alone, and one
-- that finds too much takes the first by sort key.
CREATE TABLE credential_words (
    team_id       BLOB NOT NULL,
    word          TEXT NOT NULL,
    sort_key      TEXT NOT NULL,
    credential_id BLOB NOT NULL REFERENCES credentials (id) ON DELETE CASCADE,
    type          TEXT NOT NULL,
    PRIMARY KEY (team_id, word, sort_key, credential_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX credential_words_credential ON credential_words (credential_id, word);

CREATE TABLE credential_counts (
    team_id BLOB    NOT NULL,
    type    TEXT    NOT NULL,
    total   INTEGER NOT NULL CHECK (total >= 0),
    PRIMARY KEY (team_id, type)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_events (
    sequence    INTEGER NOT NULL PRIMARY KEY,
    id          BLOB    NOT NULL,
    at          INTEGER NOT NULL,
    segment     INTEGER NOT NULL,
    key_id      BLOB    NOT NULL,
    actor_kind  TEXT    NOT NULL,
    actor_id    BLOB,
    actor_name  TEXT    NOT NULL,
    team_id     BLOB,
    action      TEXT    NOT NULL,
    target_kind TEXT,
    target_id   BLOB,
    target_name TEXT,
    outcome     TEXT    NOT NULL,
    request_id  TEXT    NOT NULL,
    address     TEXT,
    detail      TEXT    NOT NULL,
    mac         BLOB    NOT NULL
) STRICT;

CREATE TABLE audit_head (
    singleton INTEGER NOT NULL PRIMARY KEY CHECK (singleton = 1),
    sequence  INTEGER NOT NULL,
    segment   INTEGER NOT NULL,
    key_id    BLOB,
    mac       BLOB    NOT NULL
) STRICT;
-- Present from the start, so that the first writers also have a row to lock.
INSERT INTO audit_head (singleton, sequence, segment, key_id, mac)
    VALUES (1, 0, 0, NULL, zeroblob(32));

CREATE TABLE audit_checkpoints (
    sequence    INTEGER NOT NULL PRIMARY KEY,
    at          INTEGER NOT NULL,
    mac         BLOB    NOT NULL,
    sign_key_id BLOB    NOT NULL,
    public_key  BLOB    NOT NULL,
    signature   BLOB    NOT NULL
) STRICT;

CREATE TABLE processes (
    id           BLOB    NOT NULL PRIMARY KEY,
    host         TEXT    NOT NULL,
    pid          INTEGER NOT NULL,
    roots        TEXT    NOT NULL,
    started_at   INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
