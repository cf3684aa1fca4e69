-- What the runtime role of a service may do in its database: read and write rows, and nothing to the tables themselves.
-- Run by the owner of the tables after each migration, as often as one likes. The setting coursewright.role names the role.
-- A table whose comment begins with "append-only:" is only read and added to.
DO $$
DECLARE
  role text := current_setting('coursewright.role');
  it record;
BEGIN
  EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC, %I', current_database(), role);
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role);
  EXECUTE format('REVOKE ALL ON SCHEMA %I FROM PUBLIC, %I', current_schema(), role);
  EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), role);
  FOR it IN
    SELECT c.relname AS name, c.relkind IN ('v', 'm') AS is_view, c.relkind = 'S' AS is_sequence,
      coalesce(obj_description(c.oid, 'pg_class'), '') LIKE 'append-only:%' AS is_append_only
    FROM pg_class c
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
      AND pg_has_role(c.relowner, 'USAGE')
  LOOP
    EXECUTE format('REVOKE ALL ON %s %I FROM PUBLIC, %I', CASE WHEN it.is_sequence THEN 'SEQUENCE' ELSE 'TABLE' END, it.name, role);
    CONTINUE WHEN it.name = '_prisma_migrations';
    IF it.is_sequence THEN
      EXECUTE format('GRANT USAGE ON SEQUENCE %I TO %I', it.name, role);
    ELSE
      EXECUTE format('GRANT %s ON TABLE %I TO %I',
        CASE WHEN it.is_view THEN 'SELECT' WHEN it.is_append_only THEN 'SELECT, INSERT' ELSE 'SELECT, INSERT, UPDATE, DELETE' END,
        it.name, role);
    END IF;
  END LOOP;
END $$;
