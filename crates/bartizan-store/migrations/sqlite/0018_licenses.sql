-- 0018: licenses, the rules of enrollment, and who could not enroll.

-- What was bought.
CREATE TABLE license_plan (
    tenant_id INTEGER NOT NULL REFERENCES tenant (tenant_id),
    plan      TEXT    NOT NULL CHECK (plan IN ('plan-1', 'plan-2')),
    seats     INTEGER NOT NULL CHECK (0 <= seats),
    PRIMARY KEY (tenant_id, plan)
) STRICT;

-- Who has it: a person, or all of a group.
CREATE TABLE license_assignment (
    tenant_id    INTEGER NOT NULL REFERENCES tenant (tenant_id),
    plan         TEXT    NOT NULL CHECK (plan IN ('plan-1', 'plan-2')),
    subject_kind TEXT    NOT NULL CHECK (subject_kind IN ('person', 'group')),
    subject_id   BLOB    NOT NULL CHECK (length(subject_id) = 16),
    PRIMARY KEY (tenant_id, plan, subject_kind, subject_id)
) STRICT;

CREATE INDEX license_assignment_subject ON license_assignment (tenant_id, subject_kind, subject_id);

-- What is decided about enrollment; without a row, what the code says.
CREATE TABLE enrollment_rule (
    tenant_id         INTEGER NOT NULL PRIMARY KEY REFERENCES tenant (tenant_id),
    licenses_enforced INTEGER NOT NULL CHECK (licenses_enforced IN (0, 1)),
    allow_token       INTEGER NOT NULL CHECK (allow_token IN (0, 1)),
    allow_code        INTEGER NOT NULL CHECK (allow_code IN (0, 1)),
    without_user      TEXT    NOT NULL CHECK (without_user IN ('auto', 'allowed', 'refused')),
    minimum_ios       TEXT    NOT NULL,                       -- such as 16.0
    minimum_from_ms   INTEGER NOT NULL,                       -- from then on what is older is refused
    sign_in_days      INTEGER NOT NULL CHECK (0 <= sign_in_days) -- 0: never again
) STRICT;

CREATE TABLE enrollment_refusal (
    tenant_id   INTEGER NOT NULL REFERENCES tenant (tenant_id),
    refusal_id  BLOB    NOT NULL CHECK (length(refusal_id) = 16),
    at_ms       INTEGER NOT NULL,
    reason      TEXT    NOT NULL CHECK (reason <> ''),
    person_id   BLOB,                                         -- absent where none was known
    device_name TEXT    NOT NULL,
    os          TEXT    NOT NULL,                             -- with its version
    PRIMARY KEY (tenant_id, refusal_id)
) STRICT;

CREATE INDEX enrollment_refusal_person ON enrollment_refusal (tenant_id, person_id);

-- A token may be for one person, and may have come by a code.
ALTER TABLE enrollment_token ADD COLUMN person_id BLOB;
ALTER TABLE enrollment_token ADD COLUMN way TEXT NOT NULL DEFAULT 'token' CHECK (way IN ('token', 'code'));
CREATE INDEX enrollment_token_person ON enrollment_token (tenant_id, person_id);

-- A code that a person types; it is worth one token.
CREATE TABLE enrollment_code (
    tenant_id     INTEGER NOT NULL REFERENCES tenant (tenant_id),
    code_hash     BLOB    NOT NULL CHECK (length(code_hash) = 32), -- SHA-256 of the code
    person_id     BLOB,
    created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    used_at_ms    INTEGER,
    PRIMARY KEY (tenant_id, code_hash)
) STRICT;

CREATE INDEX enrollment_code_person ON enrollment_code (tenant_id, person_id);

-- What a device says of the hardware or installation that it is, and which device took its place.
ALTER TABLE device ADD COLUMN hardware_id TEXT NOT NULL DEFAULT '';
ALTER TABLE device ADD COLUMN replaced_by BLOB;

CREATE INDEX device_hardware ON device (tenant_id, hardware_id, device_id);
CREATE INDEX device_key ON device (tenant_id, key_thumbprint, device_id);
