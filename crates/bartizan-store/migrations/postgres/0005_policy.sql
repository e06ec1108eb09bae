-- 0005: every mode, how long warnings can be passed, and what is done with name lookups.
--
-- Two tables are built anew because their checks of modes cannot be changed in place. From here on words of ours
-- in them are checked by the program, so that one more mode is no migration.

CREATE TABLE policy_new (
    tenant_id           BIGINT NOT NULL REFERENCES tenant (tenant_id),
    version             BIGINT NOT NULL CHECK (0 < version),
    mode                TEXT    NOT NULL CHECK (mode <> ''),
    web_protection      TEXT    NOT NULL CHECK (web_protection <> ''),
    report_blocked_host BIGINT NOT NULL CHECK (report_blocked_host IN (0, 1)),
    checkin_interval_s  BIGINT NOT NULL CHECK (0 < checkin_interval_s),
    created_at_ms       BIGINT NOT NULL,
    warn_pass_hours     BIGINT NOT NULL DEFAULT 24 CHECK (warn_pass_hours BETWEEN 0 AND 168),
    strip_ech           BIGINT NOT NULL DEFAULT 0 CHECK (strip_ech IN (0, 1)),
    block_encrypted_dns BIGINT NOT NULL DEFAULT 0 CHECK (block_encrypted_dns IN (0, 1)),
    block_private_relay BIGINT NOT NULL DEFAULT 0 CHECK (block_private_relay IN (0, 1)),
    dns_upstream        TEXT    NOT NULL DEFAULT 'system' CHECK (dns_upstream <> ''),
    dns_fallback        BIGINT NOT NULL DEFAULT 1 CHECK (dns_fallback IN (0, 1)),
    PRIMARY KEY (tenant_id, version)
);

INSERT INTO policy_new (tenant_id, version, mode, web_protection, report_blocked_host,
                        checkin_interval_s, created_at_ms)
SELECT tenant_id, version, mode, web_protection, report_blocked_host, checkin_interval_s, created_at_ms
FROM policy;

DROP TABLE policy;

ALTER TABLE policy_new RENAME TO policy;

CREATE TABLE device_status_new (
    tenant_id       BIGINT NOT NULL,
    device_id       BYTEA    NOT NULL,
    last_seen_at_ms BIGINT NOT NULL,
    mode            TEXT    CHECK (mode <> ''),                               -- absent before the first check-in
    protection      TEXT    CHECK (protection IN ('on', 'degraded', 'off')),  -- likewise
    os_version      TEXT    NOT NULL,
    app_version     TEXT    NOT NULL,
    policy_version  BIGINT NOT NULL,
    indicator_epoch BIGINT,
    queries         BIGINT NOT NULL,
    blocked         BIGINT NOT NULL,
    dropped         BIGINT NOT NULL,
    alerts_lost     BIGINT NOT NULL,
    tenant_epoch    BIGINT, -- absent until the device holds such a file
    PRIMARY KEY (tenant_id, device_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device (tenant_id, device_id)
);

INSERT INTO device_status_new (tenant_id, device_id, last_seen_at_ms, mode, protection, os_version, app_version,
                               policy_version, indicator_epoch, queries, blocked, dropped, alerts_lost,
                               tenant_epoch)
SELECT tenant_id, device_id, last_seen_at_ms, mode, protection, os_version, app_version,
       policy_version, indicator_epoch, queries, blocked, dropped, alerts_lost, tenant_epoch
FROM device_status;

DROP TABLE device_status;

ALTER TABLE device_status_new RENAME TO device_status;

CREATE INDEX device_status_seen ON device_status (tenant_id, last_seen_at_ms, device_id);
