-- 0021: passkeys (WebAuthn) of people with a local account.

CREATE TABLE passkey (
    tenant_id        BIGINT NOT NULL,
    passkey_id       BYTEA    NOT NULL CHECK (length(passkey_id) = 16),
    credential_id    BYTEA    NOT NULL CHECK (length(credential_id) BETWEEN 1 AND 1023), -- the authenticator's name for it
    member_id        BYTEA    NOT NULL,
    site             TEXT    NOT NULL CHECK (site <> ''), -- the host that it was made for (rp.id)
    public_key       BYTEA    NOT NULL,                    -- a COSE key (RFC 9052, section 7)
    sign_count       BIGINT NOT NULL,                    -- as the authenticator told it last; 0 where it does not count
    may_be_backed_up BIGINT NOT NULL CHECK (may_be_backed_up IN (0, 1)), -- flag BE, which never changes
    is_backed_up     BIGINT NOT NULL CHECK (is_backed_up IN (0, 1)),      -- flag BS
    transports       TEXT    NOT NULL,                    -- words of the browser, separated by spaces
    name             TEXT    NOT NULL CHECK (name <> ''),
    created_at_ms    BIGINT NOT NULL,
    used_at_ms       BIGINT,
    PRIMARY KEY (tenant_id, passkey_id),
    FOREIGN KEY (tenant_id, member_id) REFERENCES member (tenant_id, member_id)
);

CREATE UNIQUE INDEX passkey_credential ON passkey (tenant_id, credential_id);
CREATE INDEX passkey_member ON passkey (tenant_id, member_id);

-- Questions to authenticators that were answered, until they are too old to be answered again.
CREATE TABLE spent_challenge (
    tenant_id      BIGINT NOT NULL REFERENCES tenant (tenant_id),
    challenge_hash BYTEA    NOT NULL CHECK (length(challenge_hash) = 32), -- SHA-256
    expires_at_ms  BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, challenge_hash)
);
