-- 0006: device groups, tags, what became of a device, and policies as documents.

-- Ranked: a device belongs to the first group whose rules it matches, or to none.
CREATE TABLE device_group (
    tenant_id     BIGINT NOT NULL REFERENCES tenant (tenant_id),
    group_id      BYTEA    NOT NULL CHECK (length(group_id) = 16),
    name          TEXT    NOT NULL CHECK (name <> ''),
    rank          BIGINT NOT NULL CHECK (0 < rank), -- 1 is asked first
    combine       TEXT    NOT NULL CHECK (combine IN ('all', 'any')),
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, group_id),
    UNIQUE (tenant_id, name)
);

CREATE TABLE device_group_rule (
    tenant_id BIGINT NOT NULL,
    group_id  BYTEA    NOT NULL,
    position  BIGINT NOT NULL,
    field     TEXT    NOT NULL,
    operator  TEXT    NOT NULL,
    value     TEXT    NOT NULL CHECK (value <> ''),
    PRIMARY KEY (tenant_id, group_id, position),
    FOREIGN KEY (tenant_id, group_id) REFERENCES device_group (tenant_id, group_id)
);

-- Whose devices are to be put into groups anew, and how far that has come.
CREATE TABLE regroup_wanted (
    tenant_id      BIGINT NOT NULL PRIMARY KEY REFERENCES tenant (tenant_id),
    next_device_id BYTEA    NOT NULL -- the first that is still to be looked at
);

CREATE TABLE device_tag (
    tenant_id BIGINT NOT NULL,
    device_id BYTEA    NOT NULL,
    tag       TEXT    NOT NULL CHECK (tag <> ''),
    origin    TEXT    NOT NULL CHECK (origin IN ('hand', 'policy')),
    PRIMARY KEY (tenant_id, device_id, tag, origin),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device (tenant_id, device_id)
);

CREATE INDEX device_tag_tag ON device_tag (tenant_id, tag, device_id);

-- What happened to a device, beside its alerts. The check-ins of a day are one row, written as the next day's first
-- one comes.
CREATE TABLE device_event (
    tenant_id BIGINT NOT NULL,
    device_id BYTEA    NOT NULL,
    event_id  BYTEA    NOT NULL CHECK (length(event_id) = 16),
    at_ms     BIGINT NOT NULL,
    kind      TEXT    NOT NULL CHECK (kind <> ''),
    actor     TEXT    NOT NULL, -- e-mail address; empty where nobody did it
    detail    TEXT    NOT NULL,
    count     BIGINT NOT NULL CHECK (0 < count),
    PRIMARY KEY (tenant_id, device_id, event_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device (tenant_id, device_id)
);

CREATE INDEX device_event_at ON device_event (tenant_id, device_id, at_ms, event_id);

ALTER TABLE device ADD COLUMN owner TEXT NOT NULL DEFAULT '';  -- e-mail address; empty where nobody is known
ALTER TABLE device ADD COLUMN value TEXT NOT NULL DEFAULT 'Normal' CHECK (value IN ('Low', 'Normal', 'High'));
ALTER TABLE device ADD COLUMN group_id BYTEA;                   -- absent where no group matches
ALTER TABLE device ADD COLUMN group_moves BIGINT NOT NULL DEFAULT 0;
ALTER TABLE device ADD COLUMN offboarded_at_ms BIGINT;
ALTER TABLE device ADD COLUMN forgotten_at_ms BIGINT;         -- nothing of a person is left in the row then

CREATE INDEX device_member ON device (tenant_id, group_id, device_id);

ALTER TABLE device_status ADD COLUMN day BIGINT NOT NULL DEFAULT 0;          -- since 1970, of the latest check-in
ALTER TABLE device_status ADD COLUMN day_checkins BIGINT NOT NULL DEFAULT 0; -- on that day

-- Counts up with every change that may give a device another policy.
CREATE TABLE policy_epoch (
    tenant_id BIGINT NOT NULL PRIMARY KEY REFERENCES tenant (tenant_id),
    epoch     BIGINT NOT NULL CHECK (0 < epoch)
);

CREATE TABLE policy_version (
    tenant_id     BIGINT NOT NULL REFERENCES tenant (tenant_id),
    policy_id     BYTEA    NOT NULL CHECK (length(policy_id) = 16), -- the group that it is for; zeros for everybody
    number        BIGINT NOT NULL CHECK (0 < number),
    epoch         BIGINT NOT NULL CHECK (0 < epoch),              -- the tenant's, as it was made
    settings      TEXT    NOT NULL,                                -- JSON: the keys that it decides
    note          TEXT    NOT NULL,
    changed_by    TEXT    NOT NULL,                                -- e-mail address; empty for the command line
    created_at_ms BIGINT NOT NULL,
    percent       BIGINT NOT NULL CHECK (percent BETWEEN 0 AND 100), -- of devices that have it
    PRIMARY KEY (tenant_id, policy_id, number)
);

INSERT INTO policy_epoch (tenant_id, epoch)
SELECT tenant_id, max(version) FROM policy GROUP BY tenant_id;

INSERT INTO policy_version (tenant_id, policy_id, number, epoch, settings, note, changed_by, created_at_ms, percent)
SELECT tenant_id, decode('00000000000000000000000000000000', 'hex'), version, version,
       '{"BartizanBlockEncryptedDns":' || CASE block_encrypted_dns WHEN 1 THEN 'true' ELSE 'false' END
       || ',"BartizanBlockPrivateRelay":' || CASE block_private_relay WHEN 1 THEN 'true' ELSE 'false' END
       || ',"BartizanCheckinSeconds":' || checkin_interval_s
       || ',"BartizanDnsFallback":' || CASE dns_fallback WHEN 1 THEN 'true' ELSE 'false' END
       || ',"BartizanDnsUpstream":"' || replace(replace(dns_upstream, '\', '\\'), '"', '\"')
       || '","BartizanMode":"' || mode
       || '","BartizanStripEch":' || CASE strip_ech WHEN 1 THEN 'true' ELSE 'false' END
       || ',"BartizanWarnPassHours":' || warn_pass_hours
       || ',"DefenderExcludeURLInReport":' || CASE report_blocked_host WHEN 1 THEN 'false' ELSE 'true' END
       || ',"WebProtection":' || CASE web_protection WHEN 'off' THEN 'false' ELSE 'true' END || '}',
       '', '', created_at_ms, 100
FROM policy;

DROP TABLE policy;
