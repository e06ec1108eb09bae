-- 0017: the people whom the product protects, their groups, and the tokens that a directory speaks with.

CREATE TABLE person (
    tenant_id      INTEGER NOT NULL REFERENCES tenant (tenant_id),
    person_id      BLOB    NOT NULL CHECK (length(person_id) = 16),
    user_name      TEXT    NOT NULL CHECK (user_name <> ''),
    user_key       TEXT    NOT NULL,                          -- in lower case
    external_id    TEXT    NOT NULL,                          -- the directory's name for it; may be empty, as may be what follows
    display_name   TEXT    NOT NULL,
    display_key    TEXT    NOT NULL,                          -- in lower case
    formatted_name TEXT    NOT NULL,
    given_name     TEXT    NOT NULL,
    family_name    TEXT    NOT NULL,
    active         INTEGER CHECK (active IN (0, 1)),          -- absent where nobody said; counts as active
    origin         TEXT    NOT NULL CHECK (origin IN ('hand', 'scim')),
    version        INTEGER NOT NULL CHECK (0 < version),      -- counts changes
    created_at_ms  INTEGER NOT NULL,
    updated_at_ms  INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, person_id),
    UNIQUE (tenant_id, user_key)
) STRICT;

CREATE INDEX person_external ON person (tenant_id, external_id, person_id);

CREATE TABLE person_email (
    tenant_id  INTEGER NOT NULL,
    person_id  BLOB    NOT NULL,
    position   INTEGER NOT NULL CHECK (0 <= position),
    value      TEXT    NOT NULL CHECK (value <> ''),
    value_key  TEXT    NOT NULL,                              -- in lower case
    kind       TEXT    NOT NULL,                              -- such as work; may be empty
    is_primary INTEGER NOT NULL CHECK (is_primary IN (0, 1)),
    PRIMARY KEY (tenant_id, person_id, position),
    FOREIGN KEY (tenant_id, person_id) REFERENCES person (tenant_id, person_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX person_email_value ON person_email (tenant_id, value_key, person_id);

CREATE TABLE person_group (
    tenant_id     INTEGER NOT NULL REFERENCES tenant (tenant_id),
    group_id      BLOB    NOT NULL CHECK (length(group_id) = 16),
    display_name  TEXT    NOT NULL CHECK (display_name <> ''),
    display_key   TEXT    NOT NULL,                           -- in lower case; two groups may share it
    external_id   TEXT    NOT NULL,
    origin        TEXT    NOT NULL CHECK (origin IN ('hand', 'scim')),
    version       INTEGER NOT NULL CHECK (0 < version),
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, group_id)
) STRICT;

CREATE INDEX person_group_name ON person_group (tenant_id, display_key, group_id);

CREATE TABLE person_group_member (
    tenant_id INTEGER NOT NULL,
    group_id  BLOB    NOT NULL,
    person_id BLOB    NOT NULL,
    PRIMARY KEY (tenant_id, group_id, person_id),
    FOREIGN KEY (tenant_id, group_id) REFERENCES person_group (tenant_id, group_id),
    FOREIGN KEY (tenant_id, person_id) REFERENCES person (tenant_id, person_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX person_group_member_person ON person_group_member (tenant_id, person_id, group_id);

CREATE TABLE scim_token (
    tenant_id       INTEGER NOT NULL REFERENCES tenant (tenant_id),
    token_id        BLOB    NOT NULL CHECK (length(token_id) = 16),
    name            TEXT    NOT NULL CHECK (name <> ''),
    token_hash      BLOB    NOT NULL CHECK (length(token_hash) = 32), -- SHA-256 of the secret
    created_at_ms   INTEGER NOT NULL,
    expires_at_ms   INTEGER NOT NULL,
    last_used_at_ms INTEGER,
    PRIMARY KEY (tenant_id, token_id),
    UNIQUE (tenant_id, token_hash)
) STRICT;

-- Whose devices they are.
CREATE INDEX device_owner ON device (tenant_id, owner, device_id);
