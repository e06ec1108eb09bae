-- 0004: deltas between indicator files, what devices hold of the tenant's own, and what decided about an alert.

-- Leads from one of a tenant's indicator files to a later one. The octets lie beside the database.
CREATE TABLE indicator_delta (
    tenant_id  BIGINT NOT NULL,
    to_epoch   BIGINT NOT NULL,
    from_epoch BIGINT NOT NULL CHECK (0 < from_epoch AND from_epoch < to_epoch),
    sha256     TEXT    NOT NULL CHECK (length(sha256) = 64), -- lower-case hexadecimal
    size_bytes BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, to_epoch, from_epoch),
    FOREIGN KEY (tenant_id, to_epoch)   REFERENCES indicator_file (tenant_id, epoch),
    FOREIGN KEY (tenant_id, from_epoch) REFERENCES indicator_file (tenant_id, epoch)
);

CREATE INDEX indicator_delta_from ON indicator_delta (tenant_id, from_epoch);
CREATE INDEX indicator_delta_file ON indicator_delta (tenant_id, sha256);

ALTER TABLE device_status ADD COLUMN tenant_epoch BIGINT; -- absent until the device holds such a file

-- Who listed what an alert is about, and what was done. Alerts from before say neither.
ALTER TABLE alert ADD COLUMN source TEXT;          -- name of the feed; absent for the organization's own
ALTER TABLE alert ADD COLUMN indicator_id BIGINT; -- of the organization's own indicator
ALTER TABLE alert ADD COLUMN action TEXT NOT NULL DEFAULT 'block'
    CHECK (action IN ('allow', 'warn', 'block', 'audit'));
