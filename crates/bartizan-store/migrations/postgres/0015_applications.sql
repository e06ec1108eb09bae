-- 0015: programs of the organization that call the API, what they prove themselves with, answers kept for repeats, and
-- alerts of other products.

CREATE TABLE application (
    tenant_id      BIGINT NOT NULL REFERENCES tenant (tenant_id),
    application_id BYTEA    NOT NULL CHECK (length(application_id) = 16),
    name           TEXT    NOT NULL CHECK (name <> ''),
    permissions    TEXT    NOT NULL, -- words, separated by spaces
    created_by     BYTEA    NOT NULL, -- a member, who answers for it
    created_at_ms  BIGINT NOT NULL,
    expires_at_ms  BIGINT NOT NULL,
    disabled_at_ms BIGINT,
    used_at_ms     BIGINT,          -- to the minute
    PRIMARY KEY (tenant_id, application_id),
    UNIQUE (tenant_id, name),
    FOREIGN KEY (tenant_id, created_by) REFERENCES member (tenant_id, member_id)
);

CREATE INDEX application_member ON application (tenant_id, created_by);

CREATE TABLE application_credential (
    tenant_id      BIGINT NOT NULL,
    application_id BYTEA    NOT NULL,
    credential_id  BYTEA    NOT NULL CHECK (length(credential_id) = 16),
    kind           TEXT    NOT NULL CHECK (kind IN ('secret', 'key')),
    value          BYTEA    NOT NULL, -- SHA-256 of a secret; a public key (SubjectPublicKeyInfo)
    hint           TEXT    NOT NULL, -- what people tell it by
    created_at_ms  BIGINT NOT NULL,
    expires_at_ms  BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, application_id, credential_id),
    FOREIGN KEY (tenant_id, application_id) REFERENCES application (tenant_id, application_id)
);

-- What a request with an Idempotency-Key was answered, for a day.
CREATE TABLE idempotent_answer (
    tenant_id      BIGINT NOT NULL,
    application_id BYTEA    NOT NULL,
    key            TEXT    NOT NULL CHECK (key <> ''),
    request        BYTEA    NOT NULL CHECK (length(request) = 32), -- SHA-256 of what was asked
    status         BIGINT,                                       -- absent while it is under way
    body           TEXT    NOT NULL,
    created_at_ms  BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, application_id, key),
    FOREIGN KEY (tenant_id, application_id) REFERENCES application (tenant_id, application_id)
);

CREATE INDEX idempotent_answer_age ON idempotent_answer (tenant_id, created_at_ms);

-- What another product said of an alert, as it said it.
CREATE TABLE external_alert (
    tenant_id     BIGINT NOT NULL,
    product       TEXT    NOT NULL CHECK (product <> ''),
    external_id   TEXT    NOT NULL CHECK (external_id <> ''),
    alert_id      BYTEA    NOT NULL,
    link          TEXT    NOT NULL, -- to the other product's own page; may be empty
    original      TEXT    NOT NULL, -- JSON, cut where it is too long
    digest        BYTEA    NOT NULL CHECK (length(digest) = 32), -- SHA-256 of all of it
    updated_at_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, product, external_id),
    FOREIGN KEY (tenant_id, alert_id) REFERENCES alert (tenant_id, alert_id)
);

CREATE INDEX external_alert_alert ON external_alert (tenant_id, alert_id);
CREATE INDEX device_name ON device (tenant_id, device_name, device_id);
