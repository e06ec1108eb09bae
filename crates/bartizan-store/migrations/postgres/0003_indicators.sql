-- 0003: the tenant's own indicators, and the files that bring them to its devices.

CREATE TABLE indicator (
    tenant_id           BIGINT NOT NULL REFERENCES tenant (tenant_id),
    indicator_id        BIGINT NOT NULL CHECK (0 < indicator_id), -- counts up per tenant, never given twice
    pattern             TEXT    NOT NULL CHECK (pattern <> ''),    -- in its one form
    kind                TEXT    NOT NULL
        CHECK (kind IN ('domain', 'host', 'subdomains', 'url', 'address', 'network')),
    source_text         TEXT    NOT NULL,                          -- the pattern as it was entered
    action              TEXT    NOT NULL CHECK (action IN ('allow', 'warn', 'block', 'audit')),
    category            TEXT    NOT NULL,
    title               TEXT    NOT NULL CHECK (title <> ''),
    description         TEXT    NOT NULL,
    severity            TEXT    NOT NULL CHECK (severity IN ('Informational', 'Low', 'Medium', 'High')),
    expires_at_ms       BIGINT,                                   -- absent: never
    generate_alert      BIGINT NOT NULL CHECK (generate_alert IN (0, 1)),
    recommended_actions TEXT    NOT NULL,
    rbac_groups         TEXT    NOT NULL, -- array of names
    mitre_techniques    TEXT    NOT NULL,
    defender_category   TEXT    NOT NULL,                          -- as Defender spells it
    created_by          BYTEA    NOT NULL,
    created_at_ms       BIGINT NOT NULL,
    updated_at_ms       BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, indicator_id),
    UNIQUE (tenant_id, pattern),
    FOREIGN KEY (tenant_id, created_by) REFERENCES member (tenant_id, member_id)
);

-- The list of the console, last changed first, by what it filters on.
CREATE INDEX indicator_updated ON indicator (tenant_id, updated_at_ms, indicator_id);
CREATE INDEX indicator_action  ON indicator (tenant_id, action, updated_at_ms, indicator_id);
CREATE INDEX indicator_kind    ON indicator (tenant_id, kind, updated_at_ms, indicator_id);
CREATE INDEX indicator_expiry  ON indicator (tenant_id, expires_at_ms) WHERE expires_at_ms IS NOT NULL;
CREATE INDEX indicator_member  ON indicator (tenant_id, created_by);

-- What counts up with the indicators of a tenant.
CREATE TABLE indicator_counter (
    tenant_id BIGINT NOT NULL PRIMARY KEY REFERENCES tenant (tenant_id),
    last_id   BIGINT NOT NULL, -- given to an indicator
    version   BIGINT NOT NULL, -- one more with every change
    entries   BIGINT NOT NULL CHECK (0 <= entries) -- how many there are
);

-- A tenant's indicators as devices hold them. The octets lie beside the database.
CREATE TABLE tenant_file (
    tenant_id         BIGINT NOT NULL REFERENCES tenant (tenant_id),
    epoch             BIGINT NOT NULL CHECK (0 < epoch),
    sha256            TEXT    NOT NULL CHECK (length(sha256) = 64), -- lower-case hexadecimal
    size_bytes        BIGINT NOT NULL,
    entries           BIGINT NOT NULL,
    indicator_version BIGINT NOT NULL,                             -- it holds all changes up to this
    built_at_ms       BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, epoch),
    UNIQUE (tenant_id, sha256)
);
