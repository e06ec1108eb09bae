-- 0002: feeds as rows, and what comes of them.
--
-- The octets of a feed's versions lie beside the database, named by their SHA-256, as indicator files do.

CREATE TABLE feed (
    tenant_id      INTEGER NOT NULL REFERENCES tenant (tenant_id),
    feed_id        BLOB    NOT NULL CHECK (length(feed_id) = 16),
    name           TEXT    NOT NULL CHECK (name <> '' AND octet_length(name) <= 64),
    role           TEXT    NOT NULL CHECK (role IN ('threat', 'popular')),
    origin         TEXT    NOT NULL CHECK (origin IN ('url', 'upload', 'taxii', 'misp')),
    url            TEXT,             -- absent where people upload
    format         TEXT,             -- absent: told by the contents
    column_name    TEXT,             -- of a table, by its name or number; absent: told by the contents
    category       TEXT    NOT NULL,
    action         TEXT    NOT NULL,
    urls           TEXT    NOT NULL CHECK (urls IN ('host', 'url')),
    trust          INTEGER NOT NULL CHECK (trust BETWEEN 0 AND 100),
    license        TEXT    NOT NULL,
    interval_s     INTEGER NOT NULL CHECK (0 <= interval_s),       -- 0: by hand
    enabled        INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    allow_http     INTEGER NOT NULL CHECK (allow_http IN (0, 1)),
    allow_private  INTEGER NOT NULL CHECK (allow_private IN (0, 1)),
    change_limit   INTEGER NOT NULL CHECK (0 < change_limit),      -- percent
    credentials    TEXT,             -- secret: value of the header Authorization
    etag           TEXT,             -- of the last answer that was kept, as are the dates
    last_modified  TEXT,
    due_at_ms      INTEGER,          -- absent: nobody waits for it
    checked_at_ms  INTEGER,
    failures       INTEGER NOT NULL DEFAULT 0, -- in a row
    outcome        TEXT    CHECK (outcome IN ('taken', 'unchanged', 'refused', 'failed')),
    outcome_detail TEXT    NOT NULL DEFAULT '',
    version        INTEGER,          -- the current one
    created_at_ms  INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, feed_id),
    UNIQUE (tenant_id, name),
    CHECK ((origin = 'upload') = (url IS NULL))
) STRICT;

CREATE TABLE feed_version (
    tenant_id     INTEGER NOT NULL,
    feed_id       BLOB    NOT NULL,
    version       INTEGER NOT NULL CHECK (0 < version),
    sha256        TEXT    NOT NULL CHECK (length(sha256) = 64), -- of the octets as they came
    size_bytes    INTEGER NOT NULL,
    fetched_at_ms INTEGER NOT NULL,
    entries       INTEGER NOT NULL,
    lines         INTEGER NOT NULL,
    bad_lines     INTEGER NOT NULL,
    format        TEXT    NOT NULL, -- in words; empty if it could not be told
    state         TEXT    NOT NULL CHECK (state IN ('current', 'kept', 'refused', 'rolled-back')),
    reason        TEXT    NOT NULL, -- why it was refused; else empty
    has_octets    INTEGER NOT NULL CHECK (has_octets IN (0, 1)),
    PRIMARY KEY (tenant_id, feed_id, version),
    FOREIGN KEY (tenant_id, feed_id) REFERENCES feed (tenant_id, feed_id)
) STRICT, WITHOUT ROWID;

-- What an administrator should know about the work of the portal itself.
CREATE TABLE notice (
    tenant_id       INTEGER NOT NULL REFERENCES tenant (tenant_id),
    notice_id       BLOB    NOT NULL CHECK (length(notice_id) = 16),
    at_ms           INTEGER NOT NULL,
    kind            TEXT    NOT NULL CHECK (kind IN ('refused', 'shrank', 'grew', 'unreachable', 'not-published')),
    feed_id         BLOB,
    text            TEXT    NOT NULL,
    dismissed_at_ms INTEGER,
    PRIMARY KEY (tenant_id, notice_id),
    FOREIGN KEY (tenant_id, feed_id) REFERENCES feed (tenant_id, feed_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX notice_feed ON notice (tenant_id, feed_id);

-- Names of the organization's own that no feed may block.
CREATE TABLE own_domain (
    tenant_id   INTEGER NOT NULL REFERENCES tenant (tenant_id),
    name        TEXT    NOT NULL,
    added_at_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, name)
) STRICT, WITHOUT ROWID;

-- Entries that are listed although the guard would hold them back.
CREATE TABLE released_entry (
    tenant_id      INTEGER NOT NULL REFERENCES tenant (tenant_id),
    pattern        TEXT    NOT NULL,
    released_by    TEXT    NOT NULL, -- e-mail address, or empty for the command line
    released_at_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, pattern)
) STRICT, WITHOUT ROWID;

-- What the latest compile held back.
CREATE TABLE held_back_entry (
    tenant_id INTEGER NOT NULL REFERENCES tenant (tenant_id),
    pattern   TEXT    NOT NULL,
    reason    TEXT    NOT NULL,
    source    TEXT    NOT NULL, -- name of the feed
    PRIMARY KEY (tenant_id, pattern)
) STRICT, WITHOUT ROWID;

-- Whose indicator file is to be compiled again, until it is.
CREATE TABLE compile_wanted (
    tenant_id    INTEGER NOT NULL PRIMARY KEY REFERENCES tenant (tenant_id),
    times        INTEGER NOT NULL, -- it was asked for; so that a wish during a compile is not lost
    wanted_at_ms INTEGER NOT NULL -- for the last time
) STRICT;

-- How often an entry stopped something, by who listed it.
CREATE TABLE indicator_hit (
    tenant_id      INTEGER NOT NULL REFERENCES tenant (tenant_id),
    source         TEXT    NOT NULL, -- name of the feed, or empty for the organization's own
    pattern        TEXT    NOT NULL,
    hits           INTEGER NOT NULL CHECK (0 < hits),
    last_hit_at_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, source, pattern)
) STRICT, WITHOUT ROWID;

-- What people at devices say about a site.
CREATE TABLE site_report (
    tenant_id       INTEGER NOT NULL,
    report_id       BLOB    NOT NULL CHECK (length(report_id) = 16), -- the ULID that the device gave it
    device_id       BLOB    NOT NULL,
    kind            TEXT    NOT NULL CHECK (kind IN ('false-positive', 'unsafe')),
    host            TEXT    NOT NULL,
    pattern         TEXT,             -- the entry that matched
    source          TEXT    NOT NULL, -- who listed it, as the device has it; may be empty
    comment         TEXT    NOT NULL,
    app_version     TEXT    NOT NULL,
    indicator_epoch INTEGER,
    reported_at_ms  INTEGER NOT NULL,
    status          TEXT    NOT NULL CHECK (status IN ('new', 'accepted', 'rejected')),
    status_by       TEXT,             -- e-mail address; absent until somebody decided
    status_at_ms    INTEGER,
    PRIMARY KEY (tenant_id, report_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device (tenant_id, device_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX site_report_source ON site_report (tenant_id, source, status);
