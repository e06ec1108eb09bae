-- 0024: which version of its policy each device runs, counted and listed.

-- How many devices in service said last that they run a version; 0 for none yet. Kept, as counting them at each look takes
-- as long as there are devices; it changes when a device says another version than before, and not at other check-ins.
CREATE TABLE policy_use (
    tenant_id      INTEGER NOT NULL REFERENCES tenant (tenant_id),
    policy_version INTEGER NOT NULL,
    devices        INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, policy_version)
) STRICT, WITHOUT ROWID;

INSERT INTO policy_use (tenant_id, policy_version, devices)
SELECT s.tenant_id, s.policy_version, count(*)
FROM device_status AS s
JOIN device AS d ON d.tenant_id = s.tenant_id AND d.device_id = s.device_id
WHERE d.offboarded_at_ms IS NULL AND d.forgotten_at_ms IS NULL AND d.jwk <> ''
GROUP BY s.tenant_id, s.policy_version;

-- Without the time of the last check-in, which changes with each.
CREATE INDEX device_status_policy ON device_status (tenant_id, policy_version, device_id);
