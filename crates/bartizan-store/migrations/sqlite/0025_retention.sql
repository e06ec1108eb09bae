-- 0025: how long an organization keeps what is settled, where it decides that itself.

-- Without a row: as long as the installation says.
CREATE TABLE retention_rule (
    tenant_id INTEGER NOT NULL PRIMARY KEY REFERENCES tenant (tenant_id),
    days      INTEGER NOT NULL CHECK (0 < days)
) STRICT;
