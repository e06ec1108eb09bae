-- 0011: changes of many alerts as jobs, what detectors and rules keep out of the queue, and what resolves itself.

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

-- What becomes of what a detector of a group's devices finds, where it is not an alert. Zeros stand for every device.
CREATE TABLE detector_mode (
    tenant_id INTEGER NOT NULL REFERENCES tenant (tenant_id),
    group_id  BLOB    NOT NULL CHECK (length(group_id) = 16),
    detector  TEXT    NOT NULL CHECK (detector <> ''),
    mode      TEXT    NOT NULL CHECK (mode IN ('active', 'log-only', 'off')),
    PRIMARY KEY (tenant_id, group_id, detector)
) STRICT, WITHOUT ROWID;

-- How often that happened.
CREATE TABLE detector_count (
    tenant_id INTEGER NOT NULL REFERENCES tenant (tenant_id),
    detector  TEXT    NOT NULL CHECK (detector <> ''),
    logged    INTEGER NOT NULL,
    dropped   INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, detector)
) STRICT, WITHOUT ROWID;

-- Uploads that raised no alert, so that a repeated one counts nothing.
CREATE TABLE quiet_receipt (
    tenant_id      INTEGER NOT NULL,
    device_id      BLOB    NOT NULL,
    upload_id      BLOB    NOT NULL CHECK (length(upload_id) = 16),
    received_at_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, device_id, upload_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device (tenant_id, device_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX quiet_receipt_old ON quiet_receipt (tenant_id, received_at_ms);
CREATE INDEX device_event_detected ON device_event (tenant_id, at_ms) WHERE kind = 'detected';

-- Alerts that are resolved as they come.
CREATE TABLE suppression (
    tenant_id      INTEGER NOT NULL,
    rule_id        BLOB    NOT NULL CHECK (length(rule_id) = 16),
    scope          TEXT    NOT NULL CHECK (scope IN ('all', 'group', 'device', 'person')),
    scope_key      TEXT    NOT NULL, -- id of the group or device, address of the person; empty for all
    detector       TEXT    NOT NULL, -- empty for all
    host           TEXT    NOT NULL, -- a name, or *. and what names end in; empty for all
    reason         TEXT    NOT NULL CHECK (reason <> ''),
    expires_at_ms  INTEGER,          -- absent: never
    created_by     BLOB    NOT NULL,
    created_at_ms  INTEGER NOT NULL,
    changed_at_ms  INTEGER NOT NULL,
    ended_at_ms    INTEGER,          -- ended by hand
    hits           INTEGER NOT NULL,
    last_hit_at_ms INTEGER,
    PRIMARY KEY (tenant_id, rule_id),
    FOREIGN KEY (tenant_id, created_by) REFERENCES member (tenant_id, member_id)
) STRICT;

CREATE INDEX suppression_active ON suppression (tenant_id, rule_id) WHERE ended_at_ms IS NULL;

ALTER TABLE alert ADD COLUMN suppressed_by BLOB; -- the rule

CREATE INDEX alert_suppressed ON alert (tenant_id, device_id, detector, subject, last_seen_at_ms)
    WHERE suppressed_by IS NOT NULL;

-- After how many days without a repeat alerts of a detector are resolved by themselves.
CREATE TABLE auto_resolve (
    tenant_id  INTEGER NOT NULL REFERENCES tenant (tenant_id),
    detector   TEXT    NOT NULL CHECK (detector <> ''),
    quiet_days INTEGER NOT NULL CHECK (0 < quiet_days),
    PRIMARY KEY (tenant_id, detector)
) STRICT, WITHOUT ROWID;

-- An incident that was merged into another has no alerts any more, and leads to it.
ALTER TABLE incident ADD COLUMN merged_into BLOB;

CREATE INDEX incident_merged ON incident (tenant_id, merged_into) WHERE merged_into IS NOT NULL;

-- What people changed about an incident, and why.
CREATE TABLE incident_change (
    tenant_id   INTEGER NOT NULL,
    incident_id BLOB    NOT NULL,
    change_id   BLOB    NOT NULL CHECK (length(change_id) = 16),
    at_ms       INTEGER NOT NULL,
    changed_by  BLOB    NOT NULL,
    kind        TEXT    NOT NULL CHECK (kind IN ('title', 'merged', 'split', 'made')),
    detail      TEXT    NOT NULL, -- the title before, or the other incident
    reason      TEXT    NOT NULL,
    PRIMARY KEY (tenant_id, incident_id, change_id),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incident (tenant_id, incident_id),
    FOREIGN KEY (tenant_id, changed_by) REFERENCES member (tenant_id, member_id)
) STRICT, WITHOUT ROWID;
