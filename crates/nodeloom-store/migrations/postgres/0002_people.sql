-- People, permissions and tokens.
--
-- The same tables and columns as the SQLite script of this number; see there for the reasons.

ALTER TABLE teams ADD COLUMN updated_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE teams ADD COLUMN deleted_at BIGINT;

ALTER TABLE users ADD COLUMN break_glass BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE users ADD COLUMN password_changed_at BIGINT;
ALTER TABLE users ADD COLUMN last_sign_in_at BIGINT;
ALTER TABLE users ADD COLUMN totp_generation BIGINT CHECK (totp_generation >= 1);
ALTER TABLE users ADD COLUMN totp_last_step BIGINT;
UPDATE users SET break_glass = TRUE WHERE instance_admin;

CREATE TABLE recovery_codes (
    id BYTEA NOT NULL PRIMARY KEY,
    user_id BYTEA NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    tag BYTEA NOT NULL,
    index_key_id BYTEA NOT NULL REFERENCES data_keys (id),
    created_at BIGINT NOT NULL,
    used_at BIGINT
);
CREATE INDEX recovery_codes_user ON recovery_codes (user_id);

CREATE TABLE user_identities (
    issuer TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    user_id BYTEA NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX user_identities_user ON user_identities (user_id);

CREATE TABLE sign_in_flows (
    id BYTEA NOT NULL PRIMARY KEY,
    tag BYTEA NOT NULL,
    index_key_id BYTEA NOT NULL REFERENCES data_keys (id),
    return_to TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sign_in_flows_expires ON sign_in_flows (expires_at);

CREATE TABLE invitations (
    id BYTEA NOT NULL PRIMARY KEY,
    team_id BYTEA NOT NULL REFERENCES teams (id),
    email TEXT COLLATE "C" NOT NULL,
    role TEXT COLLATE "C" NOT NULL,
    tag BYTEA NOT NULL,
    index_key_id BYTEA NOT NULL REFERENCES data_keys (id),
    created_at BIGINT NOT NULL,
    created_by BYTEA,
    created_by_name TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT NOT NULL,
    accepted_at BIGINT,
    revoked_at BIGINT
);
CREATE INDEX invitations_team ON invitations (team_id, created_at);

CREATE TABLE api_tokens (
    id BYTEA NOT NULL PRIMARY KEY,
    user_id BYTEA NOT NULL REFERENCES users (id),
    team_id BYTEA NOT NULL REFERENCES teams (id),
    name TEXT COLLATE "C" NOT NULL,
    role TEXT COLLATE "C" NOT NULL,
    scopes TEXT COLLATE "C" NOT NULL,
    addresses TEXT COLLATE "C" NOT NULL,
    tag BYTEA NOT NULL,
    index_key_id BYTEA NOT NULL REFERENCES data_keys (id),
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    last_used_at BIGINT,
    last_used_address TEXT COLLATE "C",
    revoked_at BIGINT
);
CREATE INDEX api_tokens_user ON api_tokens (user_id, created_at);
CREATE INDEX api_tokens_team ON api_tokens (team_id, created_at);
CREATE INDEX api_tokens_index_key ON api_tokens (index_key_id);
