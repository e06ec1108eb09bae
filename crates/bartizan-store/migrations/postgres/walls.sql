-- After the steps, at every start: the second wall between tenants. A transaction sees the rows of the tenant that it
-- has named, and no other.
--
-- '*' is the portal's own work, and finding out whose a session or a device is. FORCE binds the owner of the tables as
-- well; a superuser it does not bind, so the portal is not to be one. locator finds the tenant, and belongs to none.
--
-- The tenant is compared as the number it is: of a comparison of text the planner believes that one row in a hundred
-- passes, and then reads a whole table instead of asking an index. A policy says by its comment which text it was made of.

DO $$
DECLARE name text;
BEGIN
    FOR name IN
        SELECT c.relname FROM pg_class AS c
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
        WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace AND c.relname <> 'locator'
            AND NOT (c.relrowsecurity AND c.relforcerowsecurity AND EXISTS (
                SELECT FROM pg_policy AS p
                WHERE p.polrelid = c.oid AND obj_description(p.oid, 'pg_policy') = 'by number'
            ))
    LOOP
        EXECUTE format('DROP POLICY IF EXISTS tenant ON %I', name);
        EXECUTE format(
            $policy$CREATE POLICY tenant ON %I USING (
                tenant_id = nullif(nullif(current_setting('app.tenant', true), ''), '*')::bigint
                OR current_setting('app.tenant', true) = '*'
            )$policy$,
            name
        );
        EXECUTE format($comment$COMMENT ON POLICY tenant ON %I IS 'by number'$comment$, name);
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    END LOOP;
END $$;
