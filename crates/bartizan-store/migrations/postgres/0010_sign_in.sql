-- 0010: how people sign in: by the organization's provider of identities, or by what the portal keeps.

-- What an organization decided. Without a row passwords are for everybody, and no second factor is asked for.
CREATE TABLE sign_in_rule (
    tenant_id       BIGINT NOT NULL REFERENCES tenant (tenant_id),
    local_passwords BIGINT NOT NULL CHECK (local_passwords IN (0, 1)), -- 0: for break-glass accounts alone
    second_factor   BIGINT NOT NULL CHECK (second_factor IN (0, 1)),   -- 1: asked of whoever manages settings
    PRIMARY KEY (tenant_id)
);

-- The organization's OpenID provider.
CREATE TABLE identity_provider (
    tenant_id      BIGINT NOT NULL REFERENCES tenant (tenant_id),
    name           TEXT    NOT NULL CHECK (name <> ''),
    address        TEXT    NOT NULL CHECK (address <> ''), -- the last part of the organization's sign-in page
    issuer         TEXT    NOT NULL,
    client_id      TEXT    NOT NULL,
    client_secret  BYTEA,                                   -- sealed; NULL: a public client
    scopes         TEXT    NOT NULL,
    group_claim    TEXT    NOT NULL,
    trusts_email   BIGINT NOT NULL CHECK (trusts_email IN (0, 1)),
    admits_unknown BIGINT NOT NULL CHECK (admits_unknown IN (0, 1)),
    allow_private  BIGINT NOT NULL CHECK (allow_private IN (0, 1)),
    enabled        BIGINT NOT NULL CHECK (enabled IN (0, 1)),
    PRIMARY KEY (tenant_id)
);

-- Finds the organization of somebody who is about to sign in: by its sign-in address, or by the domain of an e-mail
-- address. Stands outside the tenants, as locator does, because each of these is one organization's.
CREATE TABLE sign_in_locator (
    kind      TEXT    NOT NULL CHECK (kind IN ('address', 'domain')),
    key       TEXT    NOT NULL CHECK (key <> ''),
    tenant_id BIGINT NOT NULL REFERENCES tenant (tenant_id),
    PRIMARY KEY (kind, key)
);

-- Which role a value of the group claim gives; '*' is everybody who comes.
CREATE TABLE provider_role (
    tenant_id   BIGINT NOT NULL,
    group_value TEXT    NOT NULL CHECK (group_value <> ''),
    role_id     TEXT    NOT NULL,
    PRIMARY KEY (tenant_id, group_value, role_id),
    FOREIGN KEY (tenant_id) REFERENCES identity_provider (tenant_id)
);

-- Whom the provider means by a subject.
CREATE TABLE member_identity (
    tenant_id    BIGINT NOT NULL,
    issuer       TEXT    NOT NULL,
    subject      TEXT    NOT NULL,
    member_id    BYTEA    NOT NULL,
    linked_at_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, issuer, subject),
    FOREIGN KEY (tenant_id, member_id) REFERENCES member (tenant_id, member_id)
);

CREATE INDEX member_identity_member ON member_identity (tenant_id, member_id);

-- Logout tokens that were obeyed, until they are too old to be sent again.
CREATE TABLE logout_token (
    tenant_id     BIGINT NOT NULL REFERENCES tenant (tenant_id),
    token_hash    BYTEA    NOT NULL CHECK (length(token_hash) = 32), -- SHA-256 of its jti
    expires_at_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, token_hash)
);

ALTER TABLE session ADD COLUMN method           TEXT NOT NULL DEFAULT 'password';
ALTER TABLE session ADD COLUMN subject          TEXT; -- sub, where the provider vouched for it
ALTER TABLE session ADD COLUMN provider_session TEXT; -- sid

CREATE INDEX session_subject ON session (tenant_id, subject);

-- Signs in by password whatever the rule: for the day on which the provider does not answer.
ALTER TABLE member ADD COLUMN break_glass BIGINT NOT NULL DEFAULT 0;

-- Codes by time (RFC 6238), for whoever has set them up.
CREATE TABLE second_factor (
    tenant_id      BIGINT NOT NULL,
    member_id      BYTEA    NOT NULL,
    secret         BYTEA    NOT NULL, -- sealed
    enrolled_at_ms BIGINT NOT NULL,
    last_step      BIGINT NOT NULL, -- of the last code taken; none is taken twice
    failures       BIGINT NOT NULL, -- since then
    failed_at_ms   BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, member_id),
    FOREIGN KEY (tenant_id, member_id) REFERENCES member (tenant_id, member_id)
);

CREATE TABLE recovery_code (
    tenant_id  BIGINT NOT NULL,
    member_id  BYTEA    NOT NULL,
    code_hash  BYTEA    NOT NULL CHECK (length(code_hash) = 32), -- SHA-256
    used_at_ms BIGINT,
    PRIMARY KEY (tenant_id, member_id, code_hash),
    FOREIGN KEY (tenant_id, member_id) REFERENCES member (tenant_id, member_id)
);
