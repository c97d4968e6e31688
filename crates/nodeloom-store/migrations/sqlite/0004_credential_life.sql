-- A credential's life: deletion that can be taken back, tags, notes, an owner, dates to act by,
-- where a credential may be sent, what uses it and what its last test said; creates that can be
-- asked for twice.

-- SQLite cannot drop a constraint, so this table is made anew. A name is unique among those that
-- are not deleted. owner_id: who answers for it. hosts and tags are JSON arrays of text; without
-- hosts, those of its type decide. restricted: its values can be replaced, never shown.
CREATE TABLE credentials_anew (
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
    owner_id        BLOB    REFERENCES users (id) ON DELETE SET NULL,
    notes           TEXT    NOT NULL DEFAULT '',
    tags            TEXT    NOT NULL DEFAULT '[]',
    hosts           TEXT    NOT NULL DEFAULT '[]',
    restricted      INTEGER NOT NULL DEFAULT 0 CHECK (restricted IN (0, 1)),
    expires_at      INTEGER,
    rotate_by       INTEGER,
    last_used_at    INTEGER,
    last_tested_at  INTEGER,
    test_status     TEXT,
    test_code       TEXT,
    test_message    TEXT,
    deleted_at      INTEGER,
    deleted_by      BLOB,
    deleted_by_name TEXT
) STRICT, WITHOUT ROWID;
INSERT INTO credentials_anew (id, team_id, name, sort_key, type, generation, revision, fields,
        created_at, created_by, created_by_name, updated_at, updated_by, updated_by_name)
    SELECT id, team_id, name, sort_key, type, generation, revision, fields,
        created_at, created_by, created_by_name, updated_at, updated_by, updated_by_name
    FROM credentials;

CREATE TABLE credential_words_anew (
    team_id       BLOB NOT NULL,
    word          TEXT NOT NULL,
    sort_key      TEXT NOT NULL,
    credential_id BLOB NOT NULL REFERENCES credentials_anew (id) ON DELETE CASCADE,
    type          TEXT NOT NULL,
    PRIMARY KEY (team_id, word, sort_key, credential_id)
) STRICT, WITHOUT ROWID;
INSERT INTO credential_words_anew (team_id, word, sort_key, credential_id, type)
    SELECT team_id, word, sort_key, credential_id, type FROM credential_words;

DROP TABLE credential_words;
DROP TABLE credentials;
ALTER TABLE credentials_anew RENAME TO credentials;
ALTER TABLE credential_words_anew RENAME TO credential_words;
CREATE INDEX credential_words_credential ON credential_words (credential_id, word);

CREATE UNIQUE INDEX credentials_name ON credentials (team_id, name) WHERE deleted_at IS NULL;
CREATE INDEX credentials_sorted ON credentials (team_id, sort_key, id)
    WHERE deleted_at IS NULL;
CREATE INDEX credentials_sorted_by_type ON credentials (team_id, type, sort_key, id)
    WHERE deleted_at IS NULL;
CREATE INDEX credentials_updated ON credentials (team_id, updated_at, id)
    WHERE deleted_at IS NULL;
CREATE INDEX credentials_updated_by_type ON credentials (team_id, type, updated_at, id)
    WHERE deleted_at IS NULL;
CREATE INDEX credentials_created ON credentials (team_id, created_at, id)
    WHERE deleted_at IS NULL;
CREATE INDEX credentials_created_by_type ON credentials (team_id, type, created_at, id)
    WHERE deleted_at IS NULL;
CREATE INDEX credentials_deleted ON credentials (team_id, deleted_at, id)
    WHERE deleted_at IS NOT NULL;
CREATE INDEX credentials_purge ON credentials (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX credentials_owner ON credentials (owner_id) WHERE owner_id IS NOT NULL;
CREATE INDEX credentials_expires ON credentials (expires_at, id)
    WHERE expires_at IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX credentials_rotate ON credentials (rotate_by, id)
    WHERE rotate_by IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX credentials_team_expires ON credentials (team_id, expires_at, id)
    WHERE expires_at IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX credentials_team_rotate ON credentials (team_id, rotate_by, id)
    WHERE rotate_by IS NOT NULL AND deleted_at IS NULL;

-- The tags of credentials that are not deleted, folded as search folds words; sort key and type
-- for the same reason as in credential_words.
CREATE TABLE credential_tags (
    team_id       BLOB NOT NULL,
    tag           TEXT NOT NULL,
    sort_key      TEXT NOT NULL,
    credential_id BLOB NOT NULL REFERENCES credentials (id) ON DELETE CASCADE,
    type          TEXT NOT NULL,
    PRIMARY KEY (team_id, tag, sort_key, credential_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX credential_tags_credential ON credential_tags (credential_id, tag);

CREATE TABLE credential_tag_counts (
    team_id BLOB    NOT NULL,
    tag     TEXT    NOT NULL,
    total   INTEGER NOT NULL CHECK (total >= 0),
    PRIMARY KEY (team_id, tag)
) STRICT, WITHOUT ROWID;

-- Who and what has used a credential: a row for each user of it, not for each use. consumer_kind
-- such as person, token, test; consumer_id theirs.
CREATE TABLE credential_uses (
    credential_id BLOB    NOT NULL REFERENCES credentials (id) ON DELETE CASCADE,
    consumer_kind TEXT    NOT NULL,
    consumer_id   BLOB    NOT NULL,
    consumer_name TEXT    NOT NULL,
    first_used_at INTEGER NOT NULL,
    last_used_at  INTEGER NOT NULL,
    uses          INTEGER NOT NULL CHECK (uses >= 1),
    PRIMARY KEY (credential_id, consumer_kind, consumer_id)
) STRICT, WITHOUT ROWID;

-- Mails that went out: due is expiry or rotation, due_at its date, days how many before it.
CREATE TABLE credential_reminders (
    credential_id BLOB    NOT NULL REFERENCES credentials (id) ON DELETE CASCADE,
    due           TEXT    NOT NULL CHECK (due IN ('expiry', 'rotation')),
    due_at        INTEGER NOT NULL,
    days          INTEGER NOT NULL,
    sent_at       INTEGER NOT NULL,
    PRIMARY KEY (credential_id, due, due_at, days)
) STRICT, WITHOUT ROWID;

-- Creates that carried an idempotency key, written with what they created. tag is a keyed hash
-- of what was asked.
CREATE TABLE idempotency_keys (
    actor_id     BLOB    NOT NULL,
    key          TEXT    NOT NULL,
    tag          BLOB    NOT NULL,
    index_key_id BLOB    NOT NULL REFERENCES data_keys (id),
    target_kind  TEXT    NOT NULL,
    target_id    BLOB    NOT NULL,
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (actor_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);
CREATE INDEX idempotency_keys_index_key ON idempotency_keys (index_key_id);

-- Which fields a version added, changed and removed, as a JSON object: written with it, so that
-- nobody opens two versions to compare them.
ALTER TABLE credential_versions ADD COLUMN changes TEXT;
ALTER TABLE credential_versions ADD COLUMN restored_from INTEGER;
