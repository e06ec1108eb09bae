-- 0011: changes of many alerts as jobs.

-- A change of many alerts, carried out in slices; a slice and how far it came are stored together.
CREATE TABLE alert_job (
    tenant_id     BIGINT NOT NULL,
    job_id        BYTEA    NOT NULL CHECK (length(job_id) = 16),
    created_at_ms BIGINT NOT NULL, -- alerts that were received later are none of its business
    created_by    BYTEA    NOT NULL, -- a member
    chosen        TEXT    NOT NULL, -- JSON: which alerts
    wanted        TEXT    NOT NULL, -- JSON: what is to change
    state         TEXT    NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'canceled', 'failed')),
    reason        TEXT    NOT NULL, -- why it failed; empty otherwise
    total         BIGINT NOT NULL, -- how many there were when it was made
    changed       BIGINT NOT NULL,
    unchanged     BIGINT NOT NULL,
    failed        BIGINT NOT NULL,
    place_ms      BIGINT NOT NULL, -- where it goes on: of a filter last_seen_at_ms, of a selection how many are done
    place_id      BYTEA    NOT NULL, -- of a filter the alert
    updated_at_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, job_id),
    FOREIGN KEY (tenant_id, created_by) REFERENCES member (tenant_id, member_id)
);

CREATE INDEX alert_job_open ON alert_job (tenant_id, job_id) WHERE state IN ('waiting', 'running');

-- What became of each alert; goes with its job.
CREATE TABLE alert_job_item (
    tenant_id BIGINT NOT NULL,
    job_id    BYTEA    NOT NULL,
    alert_id  BYTEA    NOT NULL,
    outcome   TEXT    NOT NULL CHECK (outcome IN ('changed', 'unchanged', 'failed')),
    reason    TEXT    NOT NULL,
    PRIMARY KEY (tenant_id, job_id, alert_id),
    FOREIGN KEY (tenant_id, job_id) REFERENCES alert_job (tenant_id, job_id)
);
