-- 0011: changes of many alerts as jobs.

-- A change of many alerts, carried out in slices; a slice and how far it came are stored together.
CREATE TABLE alert_job (
    tenant_id     INTEGER NOT NULL,
    job_id        BLOB    NOT NULL CHECK (length(job_id) = 16),
    created_at_ms INTEGER NOT NULL, -- alerts that were received later are none of its business
    created_by    BLOB    NOT NULL, -- a member
    chosen        TEXT    NOT NULL, -- JSON: which alerts
    wanted        TEXT    NOT NULL, -- JSON: what is to change
    state         TEXT    NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'canceled', 'failed')),
    reason        TEXT    NOT NULL, -- why it failed; empty otherwise
    total         INTEGER NOT NULL, -- how many there were when it was made
    changed       INTEGER NOT NULL,
    unchanged     INTEGER NOT NULL,
    failed        INTEGER NOT NULL,
    place_ms      INTEGER NOT NULL, -- where it goes on: of a filter last_seen_at_ms, of a selection how many are done
    place_id      BLOB    NOT NULL, -- of a filter the alert
    updated_at_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, job_id),
    FOREIGN KEY (tenant_id, created_by) REFERENCES member (tenant_id, member_id)
) STRICT;

CREATE INDEX alert_job_open ON alert_job (tenant_id, job_id) WHERE state IN ('waiting', 'running');

-- What became of each alert; goes with its job.
CREATE TABLE alert_job_item (
    tenant_id INTEGER NOT NULL,
    job_id    BLOB    NOT NULL,
    alert_id  BLOB    NOT NULL,
    outcome   TEXT    NOT NULL CHECK (outcome IN ('changed', 'unchanged', 'failed')),
    reason    TEXT    NOT NULL,
    PRIMARY KEY (tenant_id, job_id, alert_id),
    FOREIGN KEY (tenant_id, job_id) REFERENCES alert_job (tenant_id, job_id)
) STRICT, WITHOUT ROWID;
