-- 0001: everything that the portal keeps.
--
-- tenant_id leads every primary key, foreign key and index, so that a row which joins two tenants
-- cannot be stored, and so that a tenant can be moved to another shard whole. Two tables stand
-- outside: locator (which finds the tenant) and installation (which has none).
-- Times are Unix milliseconds by the portal's clock, unless a column says otherwise.

CREATE TABLE installation (
    id               BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    access_token_key BYTEA    NOT NULL CHECK (length(access_token_key) = 32), -- secret
    checked_at_ms    BIGINT NOT NULL                                        -- by the readiness check
);

CREATE TABLE tenant (
    tenant_id     BIGINT NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL CHECK (name <> ''),
    signing_key   BYTEA    NOT NULL CHECK (length(signing_key) = 32), -- secret: Ed25519 seed
    created_at_ms BIGINT NOT NULL
);

-- Finds the tenant of what is presented without one: the hash of a session or of an enrollment
-- token, a device's id, a member's e-mail address.
CREATE TABLE locator (
    kind      TEXT    NOT NULL CHECK (kind IN ('session', 'enrollment', 'device', 'member')),
    key       BYTEA    NOT NULL,
    tenant_id BIGINT NOT NULL REFERENCES tenant (tenant_id),
    PRIMARY KEY (kind, key, tenant_id)
);

CREATE TABLE policy (
    tenant_id           BIGINT NOT NULL REFERENCES tenant (tenant_id),
    version             BIGINT NOT NULL CHECK (0 < version),
    mode                TEXT    NOT NULL CHECK (mode IN ('dns', 'off')),
    web_protection      TEXT    NOT NULL CHECK (web_protection IN ('block', 'off')),
    report_blocked_host BIGINT NOT NULL CHECK (report_blocked_host IN (0, 1)),
    checkin_interval_s  BIGINT NOT NULL CHECK (0 < checkin_interval_s),
    created_at_ms       BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, version)
);

CREATE TABLE member (
    tenant_id              BIGINT NOT NULL REFERENCES tenant (tenant_id),
    member_id              BYTEA    NOT NULL CHECK (length(member_id) = 16),
    email                  TEXT    NOT NULL CHECK (email = lower(email) AND email <> ''),
    name                   TEXT    NOT NULL,
    password_hash          TEXT    NOT NULL, -- Argon2id, PHC string
    one_time_expires_at_ms BIGINT,          -- the password must be replaced before this
    created_at_ms          BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, member_id),
    UNIQUE (tenant_id, email)
);

CREATE TABLE session (
    tenant_id       BIGINT NOT NULL,
    token_hash      BYTEA    NOT NULL CHECK (length(token_hash) = 32), -- SHA-256 of the cookie
    member_id       BYTEA    NOT NULL,
    created_at_ms   BIGINT NOT NULL,
    last_seen_at_ms BIGINT NOT NULL,
    expires_at_ms   BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, token_hash),
    FOREIGN KEY (tenant_id, member_id) REFERENCES member (tenant_id, member_id)
);

CREATE INDEX session_member ON session (tenant_id, member_id);

CREATE TABLE device (
    tenant_id      BIGINT NOT NULL REFERENCES tenant (tenant_id),
    device_id      BYTEA    NOT NULL CHECK (length(device_id) = 16),
    jwk            TEXT    NOT NULL,                              -- public key
    key_thumbprint BYTEA    NOT NULL CHECK (length(key_thumbprint) = 32),
    os             TEXT    NOT NULL,
    model          TEXT    NOT NULL,
    device_name    TEXT    NOT NULL,
    enrolled_at_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, device_id)
);

-- What changes with every check-in stands apart, so that the write stays narrow.
CREATE TABLE device_status (
    tenant_id       BIGINT NOT NULL,
    device_id       BYTEA    NOT NULL,
    last_seen_at_ms BIGINT NOT NULL,
    mode            TEXT    CHECK (mode IN ('dns', 'off')),                   -- absent before the first check-in
    protection      TEXT    CHECK (protection IN ('on', 'degraded', 'off')),  -- likewise
    os_version      TEXT    NOT NULL,
    app_version     TEXT    NOT NULL,
    policy_version  BIGINT NOT NULL,
    indicator_epoch BIGINT,
    queries         BIGINT NOT NULL,
    blocked         BIGINT NOT NULL,
    dropped         BIGINT NOT NULL,
    alerts_lost     BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, device_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device (tenant_id, device_id)
);

CREATE INDEX device_status_seen ON device_status (tenant_id, last_seen_at_ms, device_id);

CREATE TABLE enrollment_token (
    tenant_id     BIGINT NOT NULL REFERENCES tenant (tenant_id),
    token_hash    BYTEA    NOT NULL CHECK (length(token_hash) = 32), -- SHA-256 of the secret
    created_at_ms BIGINT NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    used_at_ms    BIGINT,
    used_by       BYTEA,
    PRIMARY KEY (tenant_id, token_hash),
    CHECK ((used_at_ms IS NULL) = (used_by IS NULL)),
    FOREIGN KEY (tenant_id, used_by) REFERENCES device (tenant_id, device_id)
);

CREATE INDEX enrollment_token_used_by ON enrollment_token (tenant_id, used_by);

CREATE TABLE alert (
    tenant_id        BIGINT NOT NULL,
    alert_id         BYTEA    NOT NULL CHECK (length(alert_id) = 16),
    device_id        BYTEA    NOT NULL,
    detector         TEXT    NOT NULL,
    severity         TEXT    NOT NULL CHECK (severity IN ('Informational', 'Low', 'Medium', 'High')),
    category         TEXT    NOT NULL,
    title            TEXT    NOT NULL,
    host             TEXT,             -- absent where policy keeps it on the device
    matched          TEXT,
    first_seen_at_ms BIGINT NOT NULL, -- by the device's clock, clamped
    last_seen_at_ms  BIGINT NOT NULL, -- likewise
    received_at_ms   BIGINT NOT NULL,
    count            BIGINT NOT NULL CHECK (0 < count),
    indicator_epoch  BIGINT NOT NULL,
    status           TEXT    NOT NULL CHECK (status IN ('New', 'InProgress', 'Resolved')),
    status_by        BYTEA,             -- absent until somebody changed it
    status_at_ms     BIGINT,
    PRIMARY KEY (tenant_id, alert_id),
    CHECK (first_seen_at_ms <= last_seen_at_ms),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device (tenant_id, device_id),
    FOREIGN KEY (tenant_id, status_by) REFERENCES member (tenant_id, member_id)
);

-- The lists of the console, newest first, by what they filter on.
CREATE INDEX alert_newest   ON alert (tenant_id, last_seen_at_ms, alert_id);
CREATE INDEX alert_severity ON alert (tenant_id, severity, last_seen_at_ms, alert_id);
CREATE INDEX alert_device   ON alert (tenant_id, device_id, last_seen_at_ms, alert_id);
-- What there is to do: few among many.
CREATE INDEX alert_open     ON alert (tenant_id, last_seen_at_ms, alert_id)
    WHERE status <> 'Resolved';
-- Same threat again.
CREATE INDEX alert_subject  ON alert (tenant_id, device_id, detector, host, last_seen_at_ms)
    WHERE status <> 'Resolved';
-- Risk: what is unresolved, by device.
CREATE INDEX alert_unresolved ON alert (tenant_id, device_id, severity)
    WHERE status <> 'Resolved';

-- Which alerts of a device have been taken, so that a repeated upload changes nothing.
CREATE TABLE alert_receipt (
    tenant_id      BIGINT NOT NULL,
    device_id      BYTEA    NOT NULL,
    upload_id      BYTEA    NOT NULL CHECK (length(upload_id) = 16), -- the ULID that the device gave it
    alert_id       BYTEA    NOT NULL,
    received_at_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, device_id, upload_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device (tenant_id, device_id),
    FOREIGN KEY (tenant_id, alert_id)  REFERENCES alert  (tenant_id, alert_id)
);

CREATE TABLE indicator_file (
    tenant_id   BIGINT NOT NULL REFERENCES tenant (tenant_id),
    epoch       BIGINT NOT NULL CHECK (0 < epoch),
    sha256      TEXT    NOT NULL CHECK (length(sha256) = 64), -- lower-case hexadecimal
    size_bytes  BIGINT NOT NULL,
    entries     BIGINT NOT NULL,
    built_at_ms BIGINT NOT NULL,
    report      TEXT    NOT NULL,                             -- JSON, of the feeds it was built from
    PRIMARY KEY (tenant_id, epoch),
    UNIQUE (tenant_id, sha256)
);
