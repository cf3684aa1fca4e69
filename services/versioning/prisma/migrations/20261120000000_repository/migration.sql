-- A course's repository: one row to lock, and the pointers that belong to no branch.
CREATE TABLE "course" (
  "course_id" UUID PRIMARY KEY,
  "default_branch" UUID NOT NULL,
  "published" BYTEA,
  "published_version" INTEGER,
  "latest_version" INTEGER NOT NULL DEFAULT 0,
  "log_seq" BIGINT NOT NULL DEFAULT 0,
  "log_hash" BYTEA NOT NULL,
  "created_by" TEXT NOT NULL,
  "created_at" TIMESTAMPTZ(3) NOT NULL
);

-- What trees are made of. Never changed; the same content is one row of its course.
CREATE TABLE "object" (
  "course_id" UUID NOT NULL,
  "hash" BYTEA NOT NULL,
  "kind" SMALLINT NOT NULL,
  "data" BYTEA NOT NULL,
  "size" INTEGER NOT NULL,
  "touched_at" TIMESTAMPTZ(3) NOT NULL,
  PRIMARY KEY ("course_id", "hash")
);
-- Compressing small objects costs more than it saves.
ALTER TABLE "object" ALTER COLUMN "data" SET STORAGE EXTERNAL;

CREATE TABLE "commit" (
  "course_id" UUID NOT NULL,
  "hash" BYTEA NOT NULL,
  "gen" INTEGER NOT NULL,
  "root" BYTEA NOT NULL,
  "index_root" BYTEA NOT NULL,
  "parents" BYTEA[] NOT NULL,
  "author_id" TEXT NOT NULL,
  "author_name" TEXT NOT NULL,
  "at" TIMESTAMPTZ(3) NOT NULL,
  "kind" TEXT NOT NULL,
  "message" TEXT NOT NULL,
  "change_set" UUID,
  "added" INTEGER NOT NULL,
  "removed" INTEGER NOT NULL,
  "moved" INTEGER NOT NULL,
  "edited" INTEGER NOT NULL,
  "units" INTEGER NOT NULL,
  "modules" INTEGER NOT NULL,
  "lessons" INTEGER NOT NULL,
  "assignments" INTEGER NOT NULL,
  PRIMARY KEY ("course_id", "hash")
);
CREATE INDEX "commit_course_id_gen_idx" ON "commit" ("course_id", "gen");

-- Rows and events store a branch's id; its name is looked up. Hidden ones are where imports write.
CREATE TABLE "branch" (
  "branch_id" UUID PRIMARY KEY,
  "course_id" UUID NOT NULL,
  "name" TEXT NOT NULL,
  "head" BYTEA NOT NULL,
  "hidden" BOOLEAN NOT NULL,
  "protected" BOOLEAN NOT NULL,
  "metadata" JSONB NOT NULL,
  "parent_id" UUID,
  "base" BYTEA,
  "revision" BIGINT NOT NULL DEFAULT 1,
  "created_by" TEXT NOT NULL,
  "created_at" TIMESTAMPTZ(3) NOT NULL
);
CREATE UNIQUE INDEX "branch_course_id_name_key" ON "branch" ("course_id", "name");

-- Every movement of a visible ref, append-only; each row hashes the one before it.
CREATE TABLE "ref_log" (
  "course_id" UUID NOT NULL,
  "seq" BIGINT NOT NULL,
  "ref" TEXT NOT NULL,
  "old" BYTEA,
  "new" BYTEA,
  "actor" TEXT NOT NULL,
  "reason" TEXT NOT NULL,
  "at" TIMESTAMPTZ(3) NOT NULL,
  "prev_hash" BYTEA NOT NULL,
  "hash" BYTEA NOT NULL,
  PRIMARY KEY ("course_id", "seq")
);
CREATE FUNCTION ref_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'ref_log is append-only';
END $$;
CREATE TRIGGER "ref_log_append_only" BEFORE UPDATE OR DELETE ON "ref_log"
  FOR EACH ROW EXECUTE FUNCTION ref_log_is_append_only();

-- Numbered milestones, one gapless sequence for each course.
CREATE TABLE "version" (
  "course_id" UUID NOT NULL,
  "number" INTEGER NOT NULL,
  "branch_id" UUID NOT NULL,
  "commit" BYTEA NOT NULL,
  "tree" BYTEA NOT NULL,
  "notes" TEXT NOT NULL,
  "created_from" INTEGER,
  "created_by" TEXT NOT NULL,
  "created_at" TIMESTAMPTZ(3) NOT NULL,
  PRIMARY KEY ("course_id", "number")
);

CREATE TABLE "tag" (
  "course_id" UUID NOT NULL,
  "name" TEXT NOT NULL,
  "commit" BYTEA NOT NULL,
  "annotation" TEXT NOT NULL,
  "semver" BOOLEAN NOT NULL,
  "metadata" JSONB NOT NULL,
  "created_by" TEXT NOT NULL,
  "created_at" TIMESTAMPTZ(3) NOT NULL,
  PRIMARY KEY ("course_id", "name")
);

-- The course each node belongs to, for life; "born" is the commit that first made it visible (null: not yet).
CREATE TABLE "node_home" (
  "node_id" UUID PRIMARY KEY,
  "course_id" UUID NOT NULL,
  "born" BYTEA
);

-- Which commits changed a node itself; bits of "what": 1 added, 2 removed, 4 moved, 8 edited, 16 children reordered.
CREATE TABLE "commit_node" (
  "course_id" UUID NOT NULL,
  "node_id" UUID NOT NULL,
  "gen" INTEGER NOT NULL,
  "commit" BYTEA NOT NULL,
  "what" SMALLINT NOT NULL,
  PRIMARY KEY ("course_id", "node_id", "gen", "commit")
);

-- When a commit last used a body, so that the collector leaves it alone.
CREATE TABLE "body_use" (
  "course_id" UUID NOT NULL,
  "hash" BYTEA NOT NULL,
  "used_at" TIMESTAMPTZ(3) NOT NULL,
  PRIMARY KEY ("course_id", "hash")
);

-- What every service's database holds beside its own tables. Copied into each service's first migration.

-- Events that happened, one row each, written in the transaction of what happened.
CREATE TABLE "outbox" (
  "id" BIGSERIAL PRIMARY KEY,
  "event_id" UUID NOT NULL UNIQUE,
  "course_id" UUID NOT NULL,
  "seq" BIGINT NOT NULL,
  "type" TEXT NOT NULL,
  "data" JSONB NOT NULL,
  "traceparent" TEXT,
  "occurred_at" TIMESTAMPTZ(3) NOT NULL,
  "sent_at" TIMESTAMPTZ(3)
);
CREATE UNIQUE INDEX "outbox_course_id_seq_key" ON "outbox" ("course_id", "seq");
CREATE INDEX "outbox_unsent" ON "outbox" ("id") WHERE "sent_at" IS NULL;

-- How many events a course has had here. Its row lock orders the events of one course.
CREATE TABLE "course_seq" (
  "course_id" UUID PRIMARY KEY,
  "n" BIGINT NOT NULL
);

-- How far the events of each source have taken effect here, course by course.
CREATE TABLE "inbox" (
  "source" TEXT NOT NULL,
  "course_id" UUID NOT NULL,
  "seq" BIGINT NOT NULL,
  "event_id" UUID,
  "epoch" TEXT NOT NULL,
  "parked_at" TIMESTAMPTZ(3),
  "reason" TEXT,
  PRIMARY KEY ("source", "course_id")
);

-- Events that could not take effect. Their course is parked until one is replayed.
CREATE TABLE "dead_letter" (
  "id" UUID PRIMARY KEY,
  "source" TEXT NOT NULL,
  "course_id" UUID NOT NULL,
  "seq" BIGINT NOT NULL,
  "type" TEXT NOT NULL,
  "data" JSONB NOT NULL,
  "reason" TEXT NOT NULL,
  "created_at" TIMESTAMPTZ(3) NOT NULL,
  "resolved_at" TIMESTAMPTZ(3)
);
CREATE INDEX "dead_letter_open" ON "dead_letter" ("created_at") WHERE "resolved_at" IS NULL;

-- The first result of every write with a command id, kept for its repeats.
CREATE TABLE "request" (
  "actor" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "fingerprint" TEXT NOT NULL,
  "result" JSONB NOT NULL,
  "created_at" TIMESTAMPTZ(3) NOT NULL,
  "expires_at" TIMESTAMPTZ(3) NOT NULL,
  PRIMARY KEY ("actor", "key")
);
CREATE INDEX "request_expires_at_idx" ON "request" ("expires_at");

-- Facts about this database: the epoch, which a restore renews.
CREATE TABLE "meta" (
  "name" TEXT PRIMARY KEY,
  "value" TEXT NOT NULL
);
INSERT INTO "meta" ("name", "value") VALUES ('epoch', gen_random_uuid()::text);
