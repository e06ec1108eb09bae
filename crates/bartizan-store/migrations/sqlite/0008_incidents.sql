-- 0008: what people do with alerts, incidents, and counters, so that no page has to count.

ALTER TABLE device_status ADD COLUMN unresolved_informational INTEGER NOT NULL DEFAULT 0;
ALTER TABLE device_status ADD COLUMN unresolved_low           INTEGER NOT NULL DEFAULT 0;
ALTER TABLE device_status ADD COLUMN unresolved_medium        INTEGER NOT NULL DEFAULT 0;
ALTER TABLE device_status ADD COLUMN unresolved_high          INTEGER NOT NULL DEFAULT 0;
ALTER TABLE device_status ADD COLUMN risk TEXT NOT NULL DEFAULT 'None'; -- what follows from the four

UPDATE device_status SET
    unresolved_informational = (SELECT count(*) FROM alert AS a
        WHERE a.tenant_id = device_status.tenant_id AND a.device_id = device_status.device_id
            AND a.severity = 'Informational' AND a.status <> 'Resolved'),
    unresolved_low = (SELECT count(*) FROM alert AS a
        WHERE a.tenant_id = device_status.tenant_id AND a.device_id = device_status.device_id
            AND a.severity = 'Low' AND a.status <> 'Resolved'),
    unresolved_medium = (SELECT count(*) FROM alert AS a
        WHERE a.tenant_id = device_status.tenant_id AND a.device_id = device_status.device_id
            AND a.severity = 'Medium' AND a.status <> 'Resolved'),
    unresolved_high = (SELECT count(*) FROM alert AS a
        WHERE a.tenant_id = device_status.tenant_id AND a.device_id = device_status.device_id
            AND a.severity = 'High' AND a.status <> 'Resolved');

UPDATE device_status SET risk = CASE
    WHEN 0 < unresolved_high OR 3 <= unresolved_medium THEN 'High'
    WHEN 0 < unresolved_medium OR 5 <= unresolved_low THEN 'Medium'
    WHEN 0 < unresolved_low THEN 'Low'
    WHEN 0 < unresolved_informational THEN 'Informational'
    ELSE 'None' END;

CREATE INDEX device_status_risk ON device_status (tenant_id, risk, last_seen_at_ms, device_id);

ALTER TABLE alert ADD COLUMN subject        TEXT    NOT NULL DEFAULT ''; -- what is joined by: the host, if it is told
ALTER TABLE alert ADD COLUMN classification TEXT    NOT NULL DEFAULT 'Unknown';
ALTER TABLE alert ADD COLUMN determination  TEXT    NOT NULL DEFAULT 'NotAvailable';
ALTER TABLE alert ADD COLUMN assigned_to    BLOB;                        -- a member
ALTER TABLE alert ADD COLUMN incident_id    BLOB;                        -- absent in alerts from before
ALTER TABLE alert ADD COLUMN updated_at_ms  INTEGER NOT NULL DEFAULT 0;  -- by anybody: device or people

UPDATE alert SET subject = coalesce(host, ''), updated_at_ms = coalesce(status_at_ms, received_at_ms);

DROP INDEX alert_subject;
CREATE INDEX alert_subject  ON alert (tenant_id, device_id, detector, subject, last_seen_at_ms)
    WHERE status <> 'Resolved';
DROP INDEX alert_unresolved;
CREATE INDEX alert_incident ON alert (tenant_id, incident_id, last_seen_at_ms, alert_id);
CREATE INDEX alert_updated  ON alert (tenant_id, updated_at_ms, alert_id);

-- How many alerts there are, so that nobody has to count them.
CREATE TABLE alert_count (
    tenant_id INTEGER NOT NULL REFERENCES tenant (tenant_id),
    status    TEXT    NOT NULL,
    severity  TEXT    NOT NULL,
    alerts    INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, status, severity)
) STRICT, WITHOUT ROWID;

INSERT INTO alert_count (tenant_id, status, severity, alerts)
SELECT tenant_id, status, severity, count(*) FROM alert GROUP BY tenant_id, status, severity;

-- What people changed or said about an alert; never changed itself.
CREATE TABLE alert_change (
    tenant_id   INTEGER NOT NULL,
    alert_id    BLOB    NOT NULL,
    change_id   BLOB    NOT NULL CHECK (length(change_id) = 16),
    at_ms       INTEGER NOT NULL,
    changed_by  BLOB,             -- a member; absent for the portal itself
    kind        TEXT    NOT NULL,
    text_before TEXT    NOT NULL,
    text_after  TEXT    NOT NULL,
    PRIMARY KEY (tenant_id, alert_id, change_id),
    FOREIGN KEY (tenant_id, alert_id) REFERENCES alert (tenant_id, alert_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE alert_tag (
    tenant_id INTEGER NOT NULL,
    alert_id  BLOB    NOT NULL,
    tag       TEXT    NOT NULL CHECK (tag <> ''),
    PRIMARY KEY (tenant_id, alert_id, tag),
    FOREIGN KEY (tenant_id, alert_id) REFERENCES alert (tenant_id, alert_id)
) STRICT, WITHOUT ROWID;

-- Alerts that belong together, and why.
CREATE TABLE incident (
    tenant_id        INTEGER NOT NULL REFERENCES tenant (tenant_id),
    incident_id      BLOB    NOT NULL CHECK (length(incident_id) = 16),
    title            TEXT    NOT NULL,
    severity         TEXT    NOT NULL, -- the worst of its alerts
    created_at_ms    INTEGER NOT NULL,
    last_seen_at_ms  INTEGER NOT NULL,
    alerts           INTEGER NOT NULL,
    unresolved       INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, incident_id)
) STRICT;

CREATE INDEX incident_newest ON incident (tenant_id, last_seen_at_ms, incident_id);
CREATE INDEX incident_open   ON incident (tenant_id, last_seen_at_ms, incident_id) WHERE 0 < unresolved;

-- The newest incident of a device, or about a subject.
CREATE TABLE incident_key (
    tenant_id       INTEGER NOT NULL REFERENCES tenant (tenant_id),
    kind            TEXT    NOT NULL CHECK (kind IN ('device', 'subject')),
    key             TEXT    NOT NULL,
    incident_id     BLOB    NOT NULL,
    last_seen_at_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, kind, key)
) STRICT, WITHOUT ROWID;

-- Why the risk of a device is what it is, and what it was.
CREATE TABLE risk_change (
    tenant_id INTEGER NOT NULL,
    device_id BLOB    NOT NULL,
    change_id BLOB    NOT NULL CHECK (length(change_id) = 16),
    at_ms     INTEGER NOT NULL,
    risk      TEXT    NOT NULL,
    reason    TEXT    NOT NULL,
    PRIMARY KEY (tenant_id, device_id, change_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device (tenant_id, device_id)
) STRICT, WITHOUT ROWID;
