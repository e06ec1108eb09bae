-- 0011: changes of many alerts as jobs, what detectors and rules keep out of the queue, and what resolves itself.

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

-- What becomes of what a detector of a group's devices finds, where it is not an alert. Zeros stand for every device.
CREATE TABLE detector_mode (
    tenant_id BIGINT NOT NULL REFERENCES tenant (tenant_id),
    group_id  BYTEA    NOT NULL CHECK (length(group_id) = 16),
    detector  TEXT    NOT NULL CHECK (detector <> ''),
    mode      TEXT    NOT NULL CHECK (mode IN ('active', 'log-only', 'off')),
    PRIMARY KEY (tenant_id, group_id, detector)
);

-- How often that happened.
CREATE TABLE detector_count (
    tenant_id BIGINT NOT NULL REFERENCES tenant (tenant_id),
    detector  TEXT    NOT NULL CHECK (detector <> ''),
    logged    BIGINT NOT NULL,
    dropped   BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, detector)
);

-- Uploads that raised no alert, so that a repeated one counts nothing.
CREATE TABLE quiet_receipt (
    tenant_id      BIGINT NOT NULL,
    device_id      BYTEA    NOT NULL,
    upload_id      BYTEA    NOT NULL CHECK (length(upload_id) = 16),
    received_at_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, device_id, upload_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device (tenant_id, device_id)
);

CREATE INDEX quiet_receipt_old ON quiet_receipt (tenant_id, received_at_ms);
CREATE INDEX device_event_detected ON device_event (tenant_id, at_ms) WHERE kind = 'detected';

-- Alerts that are resolved as they come.
CREATE TABLE suppression (
    tenant_id      BIGINT NOT NULL,
    rule_id        BYTEA    NOT NULL CHECK (length(rule_id) = 16),
    scope          TEXT    NOT NULL CHECK (scope IN ('all', 'group', 'device', 'person')),
    scope_key      TEXT    NOT NULL, -- id of the group or device, address of the person; empty for all
    detector       TEXT    NOT NULL, -- empty for all
    host           TEXT    NOT NULL, -- a name, or *. and what names end in; empty for all
    reason         TEXT    NOT NULL CHECK (reason <> ''),
    expires_at_ms  BIGINT,          -- absent: never
    created_by     BYTEA    NOT NULL,
    created_at_ms  BIGINT NOT NULL,
    changed_at_ms  BIGINT NOT NULL,
    ended_at_ms    BIGINT,          -- ended by hand
    hits           BIGINT NOT NULL,
    last_hit_at_ms BIGINT,
    PRIMARY KEY (tenant_id, rule_id),
    FOREIGN KEY (tenant_id, created_by) REFERENCES member (tenant_id, member_id)
);

CREATE INDEX suppression_active ON suppression (tenant_id, rule_id) WHERE ended_at_ms IS NULL;

ALTER TABLE alert ADD COLUMN suppressed_by BYTEA; -- the rule

CREATE INDEX alert_suppressed ON alert (tenant_id, device_id, detector, subject, last_seen_at_ms)
    WHERE suppressed_by IS NOT NULL;

-- After how many days without a repeat alerts of a detector are resolved by themselves.
CREATE TABLE auto_resolve (
    tenant_id  BIGINT NOT NULL REFERENCES tenant (tenant_id),
    detector   TEXT    NOT NULL CHECK (detector <> ''),
    quiet_days BIGINT NOT NULL CHECK (0 < quiet_days),
    PRIMARY KEY (tenant_id, detector)
);

-- An incident that was merged into another has no alerts any more, and leads to it.
ALTER TABLE incident ADD COLUMN merged_into BYTEA;

CREATE INDEX incident_merged ON incident (tenant_id, merged_into) WHERE merged_into IS NOT NULL;

-- What people changed about an incident, and why.
CREATE TABLE incident_change (
    tenant_id   BIGINT NOT NULL,
    incident_id BYTEA    NOT NULL,
    change_id   BYTEA    NOT NULL CHECK (length(change_id) = 16),
    at_ms       BIGINT NOT NULL,
    changed_by  BYTEA    NOT NULL,
    kind        TEXT    NOT NULL CHECK (kind IN ('title', 'merged', 'split', 'made')),
    detail      TEXT    NOT NULL, -- the title before, or the other incident
    reason      TEXT    NOT NULL,
    PRIMARY KEY (tenant_id, incident_id, change_id),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incident (tenant_id, incident_id),
    FOREIGN KEY (tenant_id, changed_by) REFERENCES member (tenant_id, member_id)
);
