-- 0013: what happened, in order, and who is told of it.

-- How far the tenant's events are numbered; the row stays for ever, so that no number comes twice.
CREATE TABLE event_log (
    tenant_id INTEGER NOT NULL REFERENCES tenant (tenant_id),
    sinks     INTEGER NOT NULL CHECK (0 <= sinks), -- nothing is noted while there is none
    last_seq  INTEGER NOT NULL CHECK (0 <= last_seq),
    PRIMARY KEY (tenant_id)
) STRICT;

-- What happened: numbered without gaps in the order of the transactions. It points at rows; they are read when it is told.
CREATE TABLE event (
    tenant_id INTEGER NOT NULL REFERENCES tenant (tenant_id),
    seq       INTEGER NOT NULL,
    at_ms     INTEGER NOT NULL,
    kind      TEXT    NOT NULL,
    device_id BLOB,
    object_id BLOB,             -- an alert or an incident
    detail    TEXT    NOT NULL, -- JSON: what the rows cannot tell any more
    PRIMARY KEY (tenant_id, seq)
) STRICT, WITHOUT ROWID;

-- Where events go. What settings and secrets mean, the portal knows.
CREATE TABLE sink (
    tenant_id          INTEGER NOT NULL REFERENCES tenant (tenant_id),
    sink_id            BLOB    NOT NULL CHECK (length(sink_id) = 16),
    name               TEXT    NOT NULL CHECK (name <> ''),
    kind               TEXT    NOT NULL,
    settings           TEXT    NOT NULL,
    secrets            BLOB    NOT NULL, -- sealed
    paused             INTEGER NOT NULL DEFAULT 0,
    created_at_ms      INTEGER NOT NULL,
    cursor_seq         INTEGER NOT NULL, -- all up to here is dealt with
    urgent_seq         INTEGER NOT NULL, -- up to here what is urgent is, though the rest waits
    due_at_ms          INTEGER NOT NULL DEFAULT 0,
    tries              INTEGER NOT NULL DEFAULT 0, -- of what comes next
    failures           INTEGER NOT NULL DEFAULT 0, -- since anything went well
    last_success_at_ms INTEGER,
    last_failure_at_ms INTEGER,
    last_error         TEXT    NOT NULL DEFAULT '',
    delivered          INTEGER NOT NULL DEFAULT 0,
    missed             INTEGER NOT NULL DEFAULT 0, -- removed by age before they were told
    replays            INTEGER NOT NULL DEFAULT 0, -- dead letters that are to go again
    PRIMARY KEY (tenant_id, sink_id),
    UNIQUE (tenant_id, name)
) STRICT;

-- What a sink did not take.
CREATE TABLE dead_letter (
    tenant_id   INTEGER NOT NULL,
    sink_id     BLOB    NOT NULL,
    seq         INTEGER NOT NULL,
    at_ms       INTEGER NOT NULL, -- of the event
    kind        TEXT    NOT NULL,
    device_id   BLOB,
    object_id   BLOB,
    detail      TEXT    NOT NULL,
    died_at_ms  INTEGER NOT NULL,
    tries       INTEGER NOT NULL,
    error       TEXT    NOT NULL,
    replay      INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, sink_id, seq),
    FOREIGN KEY (tenant_id, sink_id) REFERENCES sink (tenant_id, sink_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX dead_letter_age ON dead_letter (tenant_id, died_at_ms);
