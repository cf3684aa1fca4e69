-- By this comment the role of the service gets the right to read and to add, and no other (platform/sql/grants.sql).
COMMENT ON TABLE "ref_log" IS 'append-only: every movement of a visible ref, each row hashing the one before it';
