-- 0022: what vouches for a device's key, and whether several people use it.

ALTER TABLE device ADD COLUMN attestation TEXT NOT NULL DEFAULT 'none'
    CHECK (attestation IN ('none', 'genuine', 'development'));
ALTER TABLE device ADD COLUMN attested_at_ms BIGINT; -- absent where nothing vouches for it
ALTER TABLE device ADD COLUMN shared BIGINT NOT NULL DEFAULT 0 CHECK (shared IN (0, 1));

-- Which records a device took the place of.
CREATE INDEX device_replaced ON device (tenant_id, replaced_by, device_id);

-- Whether a device without one is refused.
ALTER TABLE enrollment_rule ADD COLUMN attestation_required BIGINT NOT NULL DEFAULT 0
    CHECK (attestation_required IN (0, 1));
