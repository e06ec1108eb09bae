-- 0015: programs of the organization that call the API, what they prove themselves with, answers kept for repeats, and
-- alerts of other products.

CREATE TABLE application (
    tenant_id      INTEGER NOT NULL REFERENCES tenant (tenant_id),
    application_id BLOB    NOT NULL CHECK (length(application_id) = 16),
    name           TEXT    NOT NULL CHECK (name <> ''),
    permissions    TEXT    NOT NULL, -- words, separated by spaces
    created_by     BLOB    NOT NULL, -- a member, who answers for it
    created_at_ms  INTEGER NOT NULL,
    expires_at_ms  INTEGER NOT NULL,
    disabled_at_ms INTEGER,
    used_at_ms     INTEGER,          -- to the minute
    PRIMARY KEY (tenant_id, application_id),
    UNIQUE (tenant_id, name),
    FOREIGN KEY (tenant_id, created_by) REFERENCES member (tenant_id, member_id)
) STRICT;

CREATE INDEX application_member ON application (tenant_id, created_by);

CREATE TABLE application_credential (
    tenant_id      INTEGER NOT NULL,
    application_id BLOB    NOT NULL,
    credential_id  BLOB    NOT NULL CHECK (length(credential_id) = 16),
    kind           TEXT    NOT NULL CHECK (kind IN ('secret', 'key')),
    value          BLOB    NOT NULL, -- SHA-256 of a secret; a public key (SubjectPublicKeyInfo)
    hint           TEXT    NOT NULL, -- what people tell it by
    created_at_ms  INTEGER NOT NULL,
    expires_at_ms  INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, application_id, credential_id),
    FOREIGN KEY (tenant_id, application_id) REFERENCES application (tenant_id, application_id)
) STRICT, WITHOUT ROWID;

-- What a request with an Idempotency-Key was answered, for a day.
CREATE TABLE idempotent_answer (
    tenant_id      INTEGER NOT NULL,
    application_id BLOB    NOT NULL,
    key            TEXT    NOT NULL CHECK (key <> ''),
    request        BLOB    NOT NULL CHECK (length(request) = 32), -- SHA-256 of what was asked
    status         INTEGER,                                       -- absent while it is under way
    body           TEXT    NOT NULL,
    created_at_ms  INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, application_id, key),
    FOREIGN KEY (tenant_id, application_id) REFERENCES application (tenant_id, application_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotent_answer_age ON idempotent_answer (tenant_id, created_at_ms);

-- What another product said of an alert, as it said it.
CREATE TABLE external_alert (
    tenant_id     INTEGER NOT NULL,
    product       TEXT    NOT NULL CHECK (product <> ''),
    external_id   TEXT    NOT NULL CHECK (external_id <> ''),
    alert_id      BLOB    NOT NULL,
    link          TEXT    NOT NULL, -- to the other product's own page; may be empty
    original      TEXT    NOT NULL, -- JSON, cut where it is too long
    digest        BLOB    NOT NULL CHECK (length(digest) = 32), -- SHA-256 of all of it
    updated_at_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, product, external_id),
    FOREIGN KEY (tenant_id, alert_id) REFERENCES alert (tenant_id, alert_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX external_alert_alert ON external_alert (tenant_id, alert_id);
CREATE INDEX device_name ON device (tenant_id, device_name, device_id);
