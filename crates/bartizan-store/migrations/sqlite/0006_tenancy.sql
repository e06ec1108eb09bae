-- 0006: the second wall between tenants, which SQLite does not have. Its twin builds it.

UPDATE installation SET checked_at_ms = checked_at_ms WHERE id = 1;
