-- 0007: who did what, provably; who may do what.

-- One row for each thing done, in the order in which it was done. Nobody changes or removes one.
CREATE TABLE audit_entry (
    tenant_id   INTEGER NOT NULL REFERENCES tenant (tenant_id),
    seq         INTEGER NOT NULL CHECK (0 <= seq),
    at_ms       INTEGER NOT NULL, -- never before that of the entry before
    actor_kind  TEXT    NOT NULL,
    actor_id    TEXT    NOT NULL,
    action      TEXT    NOT NULL CHECK (action <> ''),
    object_kind TEXT    NOT NULL,
    object_id   TEXT    NOT NULL,
    detail      TEXT    NOT NULL, -- JSON
    request_id  TEXT    NOT NULL,
    personal    TEXT    NOT NULL, -- JSON: hashes of what audit_personal holds
    PRIMARY KEY (tenant_id, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX audit_entry_time ON audit_entry (tenant_id, at_ms, seq);
CREATE INDEX audit_entry_actor ON audit_entry (tenant_id, actor_kind, actor_id, seq);
CREATE INDEX audit_entry_action ON audit_entry (tenant_id, action, seq);
CREATE INDEX audit_entry_object ON audit_entry (tenant_id, object_kind, object_id, seq);

-- What entries say of people: may be removed, and the proof stands.
CREATE TABLE audit_personal (
    tenant_id INTEGER NOT NULL,
    seq       INTEGER NOT NULL,
    hash      BLOB    NOT NULL CHECK (length(hash) = 32), -- SHA-256 of salt and body
    salt      BLOB    NOT NULL CHECK (length(salt) = 32),
    subject   TEXT    NOT NULL,                           -- id of the member it speaks of
    body      TEXT    NOT NULL,                           -- JSON
    PRIMARY KEY (tenant_id, seq, hash),
    FOREIGN KEY (tenant_id, seq) REFERENCES audit_entry (tenant_id, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX audit_personal_subject ON audit_personal (tenant_id, subject);

-- The complete nodes of the tenant's Merkle tree (RFC 6962); level 0 are the entries.
CREATE TABLE audit_node (
    tenant_id INTEGER NOT NULL REFERENCES tenant (tenant_id),
    level     INTEGER NOT NULL CHECK (0 <= level),
    place     INTEGER NOT NULL CHECK (0 <= place),
    hash      BLOB    NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (tenant_id, level, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_tree (
    tenant_id   INTEGER NOT NULL REFERENCES tenant (tenant_id),
    size        INTEGER NOT NULL CHECK (0 <= size),
    signed_size INTEGER NOT NULL CHECK (0 <= signed_size),
    last_at_ms  INTEGER NOT NULL,
    PRIMARY KEY (tenant_id)
) STRICT;

-- What the tenant's key has signed.
CREATE TABLE audit_head (
    tenant_id INTEGER NOT NULL REFERENCES tenant (tenant_id),
    size      INTEGER NOT NULL CHECK (0 <= size),
    at_ms     INTEGER NOT NULL,
    note      TEXT    NOT NULL,
    PRIMARY KEY (tenant_id, size)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER audit_entry_stays BEFORE UPDATE ON audit_entry
BEGIN SELECT raise(ABORT, 'an audit entry is never changed'); END;
CREATE TRIGGER audit_entry_is_kept BEFORE DELETE ON audit_entry
BEGIN SELECT raise(ABORT, 'an audit entry is never removed'); END;

ALTER TABLE member ADD COLUMN disabled_at_ms INTEGER; -- may not sign in since then
ALTER TABLE session ADD COLUMN address TEXT NOT NULL DEFAULT '';
ALTER TABLE session ADD COLUMN agent   TEXT NOT NULL DEFAULT ''; -- as the browser calls itself

-- The organization's own roles; those that every organization has are in the code.
CREATE TABLE role (
    tenant_id     INTEGER NOT NULL REFERENCES tenant (tenant_id),
    role_id       TEXT    NOT NULL,
    name          TEXT    NOT NULL CHECK (name <> ''),
    description   TEXT    NOT NULL,
    permissions   TEXT    NOT NULL, -- words, separated by spaces
    device_groups TEXT,             -- ids, separated by spaces; NULL: all devices
    created_at_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, role_id),
    UNIQUE (tenant_id, name)
) STRICT;

-- A role is one of the table's or one of the code's.
CREATE TABLE member_role (
    tenant_id INTEGER NOT NULL,
    member_id BLOB    NOT NULL,
    role_id   TEXT    NOT NULL,
    PRIMARY KEY (tenant_id, member_id, role_id),
    FOREIGN KEY (tenant_id, member_id) REFERENCES member (tenant_id, member_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX member_role_role ON member_role (tenant_id, role_id);

-- Until now every member was let do everything.
INSERT INTO member_role (tenant_id, member_id, role_id)
SELECT tenant_id, member_id, 'administrator' FROM member;
