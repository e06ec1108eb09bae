-- 0020: an index for a list that would else look through all that is unresolved for the few of a severity.

CREATE INDEX alert_open_severity ON alert (tenant_id, severity, last_seen_at_ms, alert_id)
    WHERE status <> 'Resolved';
