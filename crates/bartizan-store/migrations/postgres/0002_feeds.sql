-- 0002: feeds as rows, and what comes of them.
--
-- The octets of a feed's versions lie beside the database, named by their SHA-256, as indicator files do.

CREATE TABLE feed (
    tenant_id      BIGINT NOT NULL REFERENCES tenant (tenant_id),
    feed_id        BYTEA    NOT NULL CHECK (length(feed_id) = 16),
    name           TEXT    NOT NULL CHECK (name <> '' AND octet_length(name) <= 64),
    role           TEXT    NOT NULL CHECK (role IN ('threat', 'popular')),
    origin         TEXT    NOT NULL CHECK (origin IN ('url', 'upload', 'taxii', 'misp')),
    url            TEXT,             -- absent where people upload
    format         TEXT,             -- absent: told by the contents
    column_name    TEXT,             -- of a table, by its name or number; absent: told by the contents
    category       TEXT    NOT NULL,
    action         TEXT    NOT NULL,
    urls           TEXT    NOT NULL CHECK (urls IN ('host', 'url')),
    trust          BIGINT NOT NULL CHECK (trust BETWEEN 0 AND 100),
    license        TEXT    NOT NULL,
    interval_s     BIGINT NOT NULL CHECK (0 <= interval_s),       -- 0: by hand
    enabled        BIGINT NOT NULL CHECK (enabled IN (0, 1)),
    allow_http     BIGINT NOT NULL CHECK (allow_http IN (0, 1)),
    allow_private  BIGINT NOT NULL CHECK (allow_private IN (0, 1)),
    change_limit   BIGINT NOT NULL CHECK (0 < change_limit),      -- percent
    credentials    TEXT,             -- secret: value of the header Authorization
    etag           TEXT,             -- of the last answer that was kept, as are the dates
    last_modified  TEXT,
    due_at_ms      BIGINT,          -- absent: nobody waits for it
    checked_at_ms  BIGINT,
    failures       BIGINT NOT NULL DEFAULT 0, -- in a row
    outcome        TEXT    CHECK (outcome IN ('taken', 'unchanged', 'refused', 'failed')),
    outcome_detail TEXT    NOT NULL DEFAULT '',
    version        BIGINT,          -- the current one
    created_at_ms  BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, feed_id),
    UNIQUE (tenant_id, name),
    CHECK ((origin = 'upload') = (url IS NULL))
);

CREATE TABLE feed_version (
    tenant_id     BIGINT NOT NULL,
    feed_id       BYTEA    NOT NULL,
    version       BIGINT NOT NULL CHECK (0 < version),
    sha256        TEXT    NOT NULL CHECK (length(sha256) = 64), -- of the octets as they came
    size_bytes    BIGINT NOT NULL,
    fetched_at_ms BIGINT NOT NULL,
    entries       BIGINT NOT NULL,
    lines         BIGINT NOT NULL,
    bad_lines     BIGINT NOT NULL,
    format        TEXT    NOT NULL, -- in words; empty if it could not be told
    state         TEXT    NOT NULL CHECK (state IN ('current', 'kept', 'refused', 'rolled-back')),
    reason        TEXT    NOT NULL, -- why it was refused; else empty
    has_octets    BIGINT NOT NULL CHECK (has_octets IN (0, 1)),
    PRIMARY KEY (tenant_id, feed_id, version),
    FOREIGN KEY (tenant_id, feed_id) REFERENCES feed (tenant_id, feed_id)
);

-- What an administrator should know about the work of the portal itself.
CREATE TABLE notice (
    tenant_id       BIGINT NOT NULL REFERENCES tenant (tenant_id),
    notice_id       BYTEA    NOT NULL CHECK (length(notice_id) = 16),
    at_ms           BIGINT NOT NULL,
    kind            TEXT    NOT NULL CHECK (kind IN ('refused', 'shrank', 'grew', 'unreachable', 'not-published')),
    feed_id         BYTEA,
    text            TEXT    NOT NULL,
    dismissed_at_ms BIGINT,
    PRIMARY KEY (tenant_id, notice_id),
    FOREIGN KEY (tenant_id, feed_id) REFERENCES feed (tenant_id, feed_id)
);

CREATE INDEX notice_feed ON notice (tenant_id, feed_id);

-- Names of the organization's own that no feed may block.
CREATE TABLE own_domain (
    tenant_id   BIGINT NOT NULL REFERENCES tenant (tenant_id),
    name        TEXT    NOT NULL,
    added_at_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, name)
);

-- Entries that are listed although the guard would hold them back.
CREATE TABLE released_entry (
    tenant_id      BIGINT NOT NULL REFERENCES tenant (tenant_id),
    pattern        TEXT    NOT NULL,
    released_by    TEXT    NOT NULL, -- e-mail address, or empty for the command line
    released_at_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, pattern)
);

-- What the latest compile held back.
CREATE TABLE held_back_entry (
    tenant_id BIGINT NOT NULL REFERENCES tenant (tenant_id),
    pattern   TEXT    NOT NULL,
    reason    TEXT    NOT NULL,
    source    TEXT    NOT NULL, -- name of the feed
    PRIMARY KEY (tenant_id, pattern)
);

-- Whose indicator file is to be compiled again, until it is.
CREATE TABLE compile_wanted (
    tenant_id    BIGINT NOT NULL PRIMARY KEY REFERENCES tenant (tenant_id),
    times        BIGINT NOT NULL, -- it was asked for; so that a wish during a compile is not lost
    wanted_at_ms BIGINT NOT NULL -- for the last time
);

-- How often an entry stopped something, by who listed it.
CREATE TABLE indicator_hit (
    tenant_id      BIGINT NOT NULL REFERENCES tenant (tenant_id),
    source         TEXT    NOT NULL, -- name of the feed, or empty for the organization's own
    pattern        TEXT    NOT NULL,
    hits           BIGINT NOT NULL CHECK (0 < hits),
    last_hit_at_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, source, pattern)
);

-- What people at devices say about a site.
CREATE TABLE site_report (
    tenant_id       BIGINT NOT NULL,
    report_id       BYTEA    NOT NULL CHECK (length(report_id) = 16), -- the ULID that the device gave it
    device_id       BYTEA    NOT NULL,
    kind            TEXT    NOT NULL CHECK (kind IN ('false-positive', 'unsafe')),
    host            TEXT    NOT NULL,
    pattern         TEXT,             -- the entry that matched
    source          TEXT    NOT NULL, -- who listed it, as the device has it; may be empty
    comment         TEXT    NOT NULL,
    app_version     TEXT    NOT NULL,
    indicator_epoch BIGINT,
    reported_at_ms  BIGINT NOT NULL,
    status          TEXT    NOT NULL CHECK (status IN ('new', 'accepted', 'rejected')),
    status_by       TEXT,             -- e-mail address; absent until somebody decided
    status_at_ms    BIGINT,
    PRIMARY KEY (tenant_id, report_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device (tenant_id, device_id)
);

CREATE INDEX site_report_source ON site_report (tenant_id, source, status);
