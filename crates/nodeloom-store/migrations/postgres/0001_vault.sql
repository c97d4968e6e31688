-- The vault: people, keys, sealed values, credentials and the audit chain.
--
-- The same tables and columns as the SQLite script of this number; see there for the reasons.
-- Texts are compared bytewise: SQLite does so on its own, and prefix searches depend on it.

CREATE TABLE instance (
    singleton  BIGINT NOT NULL PRIMARY KEY CHECK (singleton = 1),
    id         BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE teams (
    id         BYTEA NOT NULL PRIMARY KEY,
    name       TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT teams_name UNIQUE (name)
);

CREATE TABLE users (
    id             BYTEA NOT NULL PRIMARY KEY,
    email          TEXT COLLATE "C" NOT NULL,
    first_name     TEXT COLLATE "C" NOT NULL,
    last_name      TEXT COLLATE "C" NOT NULL,
    password_hash  TEXT COLLATE "C" NOT NULL,
    state          TEXT COLLATE "C" NOT NULL CHECK (state IN ('active', 'deactivated')),
    instance_admin BOOLEAN NOT NULL,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    CONSTRAINT users_email UNIQUE (email)
);

CREATE TABLE memberships (
    user_id    BYTEA NOT NULL REFERENCES users (id),
    team_id    BYTEA NOT NULL REFERENCES teams (id),
    role       TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, team_id)
);
CREATE INDEX memberships_team ON memberships (team_id);

CREATE TABLE root_keys (
    id         BYTEA NOT NULL PRIMARY KEY,
    state      TEXT COLLATE "C" NOT NULL CHECK (state IN ('active', 'retired')),
    first_seen BIGINT NOT NULL,
    last_seen  BIGINT NOT NULL,
    wrapped    BYTEA
);

CREATE TABLE data_keys (
    id         BYTEA NOT NULL PRIMARY KEY,
    team_id    BYTEA REFERENCES teams (id),
    purpose    TEXT COLLATE "C" NOT NULL CHECK (purpose IN ('seal', 'index', 'audit', 'sign')),
    state      TEXT COLLATE "C" NOT NULL CHECK (state IN ('active', 'draining', 'destroyed')),
    created_at BIGINT NOT NULL
);
-- Two indexes, since NULL differs from NULL in a unique index.
CREATE UNIQUE INDEX data_keys_active_team ON data_keys (team_id, purpose)
    WHERE state = 'active' AND team_id IS NOT NULL;
CREATE UNIQUE INDEX data_keys_active_instance ON data_keys (purpose)
    WHERE state = 'active' AND team_id IS NULL;

CREATE TABLE key_slots (
    data_key_id BYTEA NOT NULL REFERENCES data_keys (id),
    root_id     BYTEA NOT NULL REFERENCES root_keys (id),
    envelope    BYTEA NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (data_key_id, root_id)
);
CREATE INDEX key_slots_root ON key_slots (root_id);

-- team_id is 16 zero bytes for the instance, hence no reference to teams.
CREATE TABLE sealed_values (
    id         BYTEA NOT NULL PRIMARY KEY,
    team_id    BYTEA NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL,
    owner_id   BYTEA NOT NULL,
    field      TEXT COLLATE "C" NOT NULL,
    generation BIGINT NOT NULL CHECK (generation >= 1),
    key_id     BYTEA NOT NULL REFERENCES data_keys (id),
    envelope   BYTEA NOT NULL,
    state      TEXT COLLATE "C" NOT NULL CHECK (state IN ('ok', 'quarantined')),
    reason     TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    CONSTRAINT sealed_values_place UNIQUE (team_id, kind, owner_id, field, generation)
);
CREATE INDEX sealed_values_key ON sealed_values (key_id, kind, state);

CREATE TABLE sessions (
    id               BYTEA NOT NULL PRIMARY KEY,
    user_id          BYTEA NOT NULL REFERENCES users (id),
    tag              BYTEA NOT NULL,
    index_key_id     BYTEA NOT NULL REFERENCES data_keys (id),
    created_at       BIGINT NOT NULL,
    last_seen_at     BIGINT NOT NULL,
    authenticated_at BIGINT NOT NULL,
    address          TEXT COLLATE "C",
    user_agent       TEXT COLLATE "C"
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_created ON sessions (created_at);
CREATE INDEX sessions_last_seen ON sessions (last_seen_at);
CREATE INDEX sessions_index_key ON sessions (index_key_id);

CREATE TABLE setup_codes (
    id           BYTEA NOT NULL PRIMARY KEY,
    tag          BYTEA NOT NULL,
    index_key_id BYTEA NOT NULL REFERENCES data_keys (id),
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    used_at      BIGINT
);

CREATE TABLE sign_in_attempts (
    subject           BYTEA NOT NULL PRIMARY KEY,
    failures          BIGINT NOT NULL,
    window_started_at BIGINT NOT NULL
);
CREATE INDEX sign_in_attempts_window ON sign_in_attempts (window_started_at);

CREATE TABLE credentials (
    id              BYTEA NOT NULL PRIMARY KEY,
    team_id         BYTEA NOT NULL REFERENCES teams (id),
    name            TEXT COLLATE "C" NOT NULL,
    sort_key        TEXT COLLATE "C" NOT NULL,
    type            TEXT COLLATE "C" NOT NULL,
    generation      BIGINT NOT NULL CHECK (generation >= 1),
    revision        BIGINT NOT NULL CHECK (revision >= 1),
    fields          TEXT COLLATE "C" NOT NULL,
    created_at      BIGINT NOT NULL,
    created_by      BYTEA,
    created_by_name TEXT COLLATE "C" NOT NULL,
    updated_at      BIGINT NOT NULL,
    updated_by      BYTEA,
    updated_by_name TEXT COLLATE "C" NOT NULL,
    CONSTRAINT credentials_name UNIQUE (team_id, name)
);
CREATE INDEX credentials_sorted ON credentials (team_id, sort_key, id);
CREATE INDEX credentials_sorted_by_type ON credentials (team_id, type, sort_key, id);

-- No reference to credentials: a number that was used once stays used.
CREATE TABLE credential_versions (
    credential_id   BYTEA NOT NULL,
    generation      BIGINT NOT NULL CHECK (generation >= 1),
    created_at      BIGINT NOT NULL,
    created_by      BYTEA,
    created_by_name TEXT COLLATE "C" NOT NULL,
    fields          TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (credential_id, generation)
);

-- Sort key and type are here too, so that a search is answered from this table alone, and one
-- that finds too much takes the first by sort key.
CREATE TABLE credential_words (
    team_id       BYTEA NOT NULL,
    word          TEXT COLLATE "C" NOT NULL,
    sort_key      TEXT COLLATE "C" NOT NULL,
    credential_id BYTEA NOT NULL REFERENCES credentials (id) ON DELETE CASCADE,
    type          TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (team_id, word, sort_key, credential_id) INCLUDE (type)
);
CREATE INDEX credential_words_credential ON credential_words (credential_id, word);

CREATE TABLE credential_counts (
    team_id BYTEA NOT NULL,
    type    TEXT COLLATE "C" NOT NULL,
    total   BIGINT NOT NULL CHECK (total >= 0),
    PRIMARY KEY (team_id, type)
);

CREATE TABLE audit_events (
    sequence    BIGINT NOT NULL PRIMARY KEY,
    id          BYTEA NOT NULL,
    at          BIGINT NOT NULL,
    segment     BIGINT NOT NULL,
    key_id      BYTEA NOT NULL,
    actor_kind  TEXT COLLATE "C" NOT NULL,
    actor_id    BYTEA,
    actor_name  TEXT COLLATE "C" NOT NULL,
    team_id     BYTEA,
    action      TEXT COLLATE "C" NOT NULL,
    target_kind TEXT COLLATE "C",
    target_id   BYTEA,
    target_name TEXT COLLATE "C",
    outcome     TEXT COLLATE "C" NOT NULL,
    request_id  TEXT COLLATE "C" NOT NULL,
    address     TEXT COLLATE "C",
    detail      TEXT COLLATE "C" NOT NULL,
    mac         BYTEA NOT NULL
);

CREATE TABLE audit_head (
    singleton BIGINT NOT NULL PRIMARY KEY CHECK (singleton = 1),
    sequence  BIGINT NOT NULL,
    segment   BIGINT NOT NULL,
    key_id    BYTEA,
    mac       BYTEA NOT NULL
);
-- Present from the start, so that the first writers also have a row to lock.
INSERT INTO audit_head (singleton, sequence, segment, key_id, mac)
    VALUES (1, 0, 0, NULL, decode(repeat('00', 32), 'hex'));

CREATE TABLE audit_checkpoints (
    sequence    BIGINT NOT NULL PRIMARY KEY,
    at          BIGINT NOT NULL,
    mac         BYTEA NOT NULL,
    sign_key_id BYTEA NOT NULL,
    public_key  BYTEA NOT NULL,
    signature   BYTEA NOT NULL
);

CREATE TABLE processes (
    id           BYTEA NOT NULL PRIMARY KEY,
    host         TEXT COLLATE "C" NOT NULL,
    pid          BIGINT NOT NULL,
    roots        TEXT COLLATE "C" NOT NULL,
    started_at   BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL
);
