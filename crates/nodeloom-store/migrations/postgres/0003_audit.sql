-- The audit trail: finding events, the seams that pruning leaves, and how far a second sink is.

CREATE INDEX audit_events_at ON audit_events (at, sequence);
CREATE INDEX audit_events_team ON audit_events (team_id, sequence);
CREATE INDEX audit_events_actor ON audit_events (actor_id, sequence) WHERE actor_id IS NOT NULL;
CREATE INDEX audit_events_actor_name ON audit_events (actor_name, sequence);
CREATE INDEX audit_events_action ON audit_events (action, sequence);
CREATE INDEX audit_events_target ON audit_events (target_id, sequence) WHERE target_id IS NOT NULL;
-- Nearly every event is a success: only the others are worth finding by their outcome.
CREATE INDEX audit_events_outcome ON audit_events (outcome, sequence) WHERE outcome <> 'success';

-- Where the beginning of the trail was removed. The newest seam is where the chain begins now.
CREATE TABLE audit_seams (
    last_sequence  BIGINT NOT NULL PRIMARY KEY,
    first_sequence BIGINT NOT NULL,
    mac            BYTEA NOT NULL,
    segment        BIGINT NOT NULL,
    key_id         BYTEA NOT NULL,
    at             BIGINT NOT NULL,
    actor_kind     TEXT COLLATE "C" NOT NULL,
    actor_name     TEXT COLLATE "C" NOT NULL,
    sign_key_id    BYTEA NOT NULL,
    public_key     BYTEA NOT NULL,
    signature      BYTEA NOT NULL
);

-- How far each second sink has been given the trail, and which process does it just now.
CREATE TABLE audit_sink_cursor (
    name        TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    sequence    BIGINT NOT NULL,
    owner_id    BYTEA,
    lease_until BIGINT NOT NULL
);
