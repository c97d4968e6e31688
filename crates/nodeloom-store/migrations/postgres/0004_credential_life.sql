-- A credential's life: deletion that can be taken back, tags, notes, an owner, dates to act by,
-- where a credential may be sent, what uses it and what its last test said; creates that can be
-- asked for twice.
--
-- The same tables and columns as the SQLite script of this number; see there for the reasons.

ALTER TABLE credentials ADD COLUMN owner_id BYTEA REFERENCES users (id) ON DELETE SET NULL;
ALTER TABLE credentials ADD COLUMN notes TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE credentials ADD COLUMN tags TEXT COLLATE "C" NOT NULL DEFAULT '[]';
ALTER TABLE credentials ADD COLUMN hosts TEXT COLLATE "C" NOT NULL DEFAULT '[]';
ALTER TABLE credentials ADD COLUMN restricted BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE credentials ADD COLUMN expires_at BIGINT;
ALTER TABLE credentials ADD COLUMN rotate_by BIGINT;
ALTER TABLE credentials ADD COLUMN last_used_at BIGINT;
ALTER TABLE credentials ADD COLUMN last_tested_at BIGINT;
ALTER TABLE credentials ADD COLUMN test_status TEXT COLLATE "C";
ALTER TABLE credentials ADD COLUMN test_code TEXT COLLATE "C";
ALTER TABLE credentials ADD COLUMN test_message TEXT COLLATE "C";
ALTER TABLE credentials ADD COLUMN deleted_at BIGINT;
ALTER TABLE credentials ADD COLUMN deleted_by BYTEA;
ALTER TABLE credentials ADD COLUMN deleted_by_name TEXT COLLATE "C";

ALTER TABLE credentials DROP CONSTRAINT credentials_name;
DROP INDEX credentials_sorted;
DROP INDEX credentials_sorted_by_type;
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

CREATE TABLE credential_tags (
    team_id BYTEA NOT NULL,
    tag TEXT COLLATE "C" NOT NULL,
    sort_key TEXT COLLATE "C" NOT NULL,
    credential_id BYTEA NOT NULL REFERENCES credentials (id) ON DELETE CASCADE,
    type TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (team_id, tag, sort_key, credential_id) INCLUDE (type)
);
CREATE INDEX credential_tags_credential ON credential_tags (credential_id, tag);

CREATE TABLE credential_tag_counts (
    team_id BYTEA NOT NULL,
    tag TEXT COLLATE "C" NOT NULL,
    total BIGINT NOT NULL CHECK (total >= 0),
    PRIMARY KEY (team_id, tag)
);

CREATE TABLE credential_uses (
    credential_id BYTEA NOT NULL REFERENCES credentials (id) ON DELETE CASCADE,
    consumer_kind TEXT COLLATE "C" NOT NULL,
    consumer_id BYTEA NOT NULL,
    consumer_name TEXT COLLATE "C" NOT NULL,
    first_used_at BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    uses BIGINT NOT NULL CHECK (uses >= 1),
    PRIMARY KEY (credential_id, consumer_kind, consumer_id)
);

CREATE TABLE credential_reminders (
    credential_id BYTEA NOT NULL REFERENCES credentials (id) ON DELETE CASCADE,
    due TEXT COLLATE "C" NOT NULL CHECK (due IN ('expiry', 'rotation')),
    due_at BIGINT NOT NULL,
    days BIGINT NOT NULL,
    sent_at BIGINT NOT NULL,
    PRIMARY KEY (credential_id, due, due_at, days)
);

CREATE TABLE idempotency_keys (
    actor_id BYTEA NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    tag BYTEA NOT NULL,
    index_key_id BYTEA NOT NULL REFERENCES data_keys (id),
    target_kind TEXT COLLATE "C" NOT NULL,
    target_id BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (actor_id, key)
);
CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);
CREATE INDEX idempotency_keys_index_key ON idempotency_keys (index_key_id);

ALTER TABLE credential_versions ADD COLUMN changes TEXT COLLATE "C";
ALTER TABLE credential_versions ADD COLUMN restored_from BIGINT;
