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

-- Imports: jobs that may be taken up again at any step after a crash.
CREATE TABLE "import" (
  "id" UUID PRIMARY KEY,
  "format" TEXT NOT NULL,
  "media_type" TEXT NOT NULL,
  -- running | done | failed
  "state" TEXT NOT NULL,
  "course_id" UUID NOT NULL,
  -- The course is made by this import, and is nobody's before it has ended.
  "new_course" BOOLEAN NOT NULL,
  -- Head of the course when the import began; null for a new one.
  "start_commit" TEXT,
  "started_by" TEXT NOT NULL,
  "started_by_name" TEXT,
  -- The disk on which its archive lies: only a process that sees that disk can work on it.
  "spool_id" UUID NOT NULL,
  "done" BIGINT NOT NULL DEFAULT 0,
  "total" BIGINT,
  "commit" TEXT,
  "report" JSONB NOT NULL,
  "error" JSONB,
  -- Who works on it, and until when others keep away.
  "lease_holder" UUID,
  "lease_until" TIMESTAMPTZ(3),
  -- Times it was taken up since it last got on.
  "attempts" INTEGER NOT NULL DEFAULT 0,
  "started_at" TIMESTAMPTZ(3) NOT NULL,
  "finished_at" TIMESTAMPTZ(3),
  "revision" BIGINT NOT NULL DEFAULT 1
);
CREATE INDEX "import_running" ON "import" ("started_at") WHERE "state" = 'running';
CREATE INDEX "import_finished" ON "import" ("finished_at") WHERE "state" <> 'running';

-- The commits that an import has made on its hidden ref, by ordinal.
CREATE TABLE "import_step" (
  "import_id" UUID NOT NULL REFERENCES "import" ("id") ON DELETE CASCADE,
  "ordinal" INTEGER NOT NULL,
  "commit" TEXT NOT NULL,
  "at" TIMESTAMPTZ(3) NOT NULL,
  PRIMARY KEY ("import_id", "ordinal")
);
