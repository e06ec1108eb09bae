-- 0006: the second wall between tenants: a transaction sees the rows of the tenant that it has named, and no other.
--
-- '*' is the portal's own work, and finding out whose a session or a device is. FORCE binds the owner of the tables as
-- well; a superuser it does not bind, so the portal is not to be one.

DO $$
DECLARE name text;
BEGIN
    FOR name IN
        SELECT c.table_name FROM information_schema.columns AS c
        JOIN information_schema.tables AS t USING (table_schema, table_name)
        WHERE c.table_schema = current_schema() AND c.column_name = 'tenant_id'
            AND c.table_name <> 'locator' AND t.table_type = 'BASE TABLE'
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON %I USING (current_setting(''app.tenant'', true) IN (tenant_id::text, ''*''))', name);
    END LOOP;
END $$;
