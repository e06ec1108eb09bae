-- 0023: operators of an installation, and what they do to tenants.
--
-- Tenant 0 is the installation itself: its members are the operators, its audit log is the installation's, and it has no
-- devices. So accounts, sessions, second factors and the log of operators stand behind the same walls as everybody's, and
-- nothing new stands outside the tenants. The row is made when the database is opened, as it needs a key.

ALTER TABLE installation ADD COLUMN last_tenant_id BIGINT NOT NULL DEFAULT 0; -- the number of a deleted tenant is not given again

ALTER TABLE tenant ADD COLUMN suspended_at_ms  BIGINT;                    -- nobody signs in since then
ALTER TABLE tenant ADD COLUMN delete_at_ms     BIGINT;                    -- its rows go then; it is suspended until then
ALTER TABLE tenant ADD COLUMN admits_operators BIGINT NOT NULL DEFAULT 1; -- 0: no operator enters

-- In a tenant other than the installation: stands for this operator, and has no password and no role.
ALTER TABLE member ADD COLUMN operator_id BYTEA;

CREATE INDEX member_operator ON member (tenant_id, operator_id);

-- A session of an operator in a tenant: it ends with the operator's own.
ALTER TABLE session ADD COLUMN operator_session BYTEA; -- hash of the operator's own
ALTER TABLE session ADD COLUMN operator_role    TEXT; -- what they may do there
ALTER TABLE session ADD COLUMN operator_reason  TEXT; -- why they entered

-- Which tenants an operator may enter, and what they may do there at most. The tenant is no reference: what it names may
-- lie on another shard.
CREATE TABLE operator_grant (
    tenant_id     BIGINT NOT NULL,  -- 0
    member_id     BYTEA    NOT NULL,
    granted_id    BIGINT NOT NULL,  -- a tenant; 0: all of them
    role_id       TEXT    NOT NULL,
    granted_at_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, member_id, granted_id),
    FOREIGN KEY (tenant_id, member_id) REFERENCES member (tenant_id, member_id)
);

-- An audit log goes when all of its tenant goes, and not before.
CREATE OR REPLACE FUNCTION audit_entry_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND EXISTS (
        SELECT FROM tenant WHERE tenant_id = OLD.tenant_id AND delete_at_ms IS NOT NULL
    ) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'an audit entry is never changed or removed';
END $$;
