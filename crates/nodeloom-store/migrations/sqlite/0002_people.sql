-- People, permissions and tokens: second factors, single sign-on, invitations, API tokens, and
-- teams that can be deleted.

-- A deleted team keeps its row, under its id as name: its destroyed data keys refer to it.
ALTER TABLE teams ADD COLUMN updated_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE teams ADD COLUMN deleted_at INTEGER;

-- An empty password hash never matches: such a person signs in elsewhere.
ALTER TABLE users ADD COLUMN break_glass INTEGER NOT NULL DEFAULT 0 CHECK (break_glass IN (0, 1));
ALTER TABLE users ADD COLUMN password_changed_at INTEGER;
ALTER TABLE users ADD COLUMN last_sign_in_at INTEGER;
-- The generation of the sealed TOTP secret (kind totp, owner the user, field secret); NULL: off.
ALTER TABLE users ADD COLUMN totp_generation INTEGER CHECK (totp_generation >= 1);
-- The last time step that was accepted, so that no code works twice.
ALTER TABLE users ADD COLUMN totp_last_step INTEGER;
UPDATE users SET break_glass = 1 WHERE instance_admin = 1;

CREATE TABLE recovery_codes (
    id           BLOB    NOT NULL PRIMARY KEY,
    user_id      BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    tag          BLOB    NOT NULL,
    index_key_id BLOB    NOT NULL REFERENCES data_keys (id),
    created_at   INTEGER NOT NULL,
    used_at      INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX recovery_codes_user ON recovery_codes (user_id);

-- Who a person is at an OpenID Connect issuer.
CREATE TABLE user_identities (
    issuer     TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    user_id    BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX user_identities_user ON user_identities (user_id);

-- A sign-in that is under way at an issuer. Its PKCE verifier and nonce are sealed values of the
-- instance (kind sign-in-flow, owner this id).
CREATE TABLE sign_in_flows (
    id           BLOB    NOT NULL PRIMARY KEY,
    tag          BLOB    NOT NULL,
    index_key_id BLOB    NOT NULL REFERENCES data_keys (id),
    return_to    TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sign_in_flows_expires ON sign_in_flows (expires_at);

CREATE TABLE invitations (
    id              BLOB    NOT NULL PRIMARY KEY,
    team_id         BLOB    NOT NULL REFERENCES teams (id),
    email           TEXT    NOT NULL,
    role            TEXT    NOT NULL,
    tag             BLOB    NOT NULL,
    index_key_id    BLOB    NOT NULL REFERENCES data_keys (id),
    created_at      INTEGER NOT NULL,
    created_by      BLOB,
    created_by_name TEXT    NOT NULL,
    expires_at      INTEGER NOT NULL,
    accepted_at     INTEGER,
    revoked_at      INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX invitations_team ON invitations (team_id, created_at);

-- scopes and addresses are JSON arrays of text.
CREATE TABLE api_tokens (
    id                BLOB    NOT NULL PRIMARY KEY,
    user_id           BLOB    NOT NULL REFERENCES users (id),
    team_id           BLOB    NOT NULL REFERENCES teams (id),
    name              TEXT    NOT NULL,
    role              TEXT    NOT NULL,
    scopes            TEXT    NOT NULL,
    addresses         TEXT    NOT NULL,
    tag               BLOB    NOT NULL,
    index_key_id      BLOB    NOT NULL REFERENCES data_keys (id),
    created_at        INTEGER NOT NULL,
    expires_at        INTEGER,
    last_used_at      INTEGER,
    last_used_address TEXT,
    revoked_at        INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX api_tokens_user ON api_tokens (user_id, created_at);
CREATE INDEX api_tokens_team ON api_tokens (team_id, created_at);
CREATE INDEX api_tokens_index_key ON api_tokens (index_key_id);
