-- 0009: work that several portals share, and what retention needs.

-- Who does a piece of a tenant's work, so that no other process does it at the same time.
CREATE TABLE job_lease (
    tenant_id BIGINT NOT NULL REFERENCES tenant (tenant_id),
    name      TEXT   NOT NULL CHECK (name <> ''),
    holder    BYTEA  NOT NULL CHECK (length(holder) = 16), -- drawn by each process when it starts
    until_ms  BIGINT NOT NULL,                             -- afterwards anybody may take it
    PRIMARY KEY (tenant_id, name)
);

-- An alert that is removed takes its receipts along.
CREATE INDEX alert_receipt_alert ON alert_receipt (tenant_id, alert_id);
