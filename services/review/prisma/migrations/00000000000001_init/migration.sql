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

-- A submission of a course's default branch, and what became of it. At most one is open at a time.
CREATE TABLE "review" (
  "id" UUID PRIMARY KEY,
  "course_id" UUID NOT NULL,
  "state" TEXT NOT NULL CHECK ("state" IN ('in_review', 'approved', 'rejected', 'withdrawn')),
  "commit" TEXT NOT NULL,
  "tree" TEXT NOT NULL,
  "submitted_by" TEXT NOT NULL,
  "submitted_at" TIMESTAMPTZ(3) NOT NULL,
  "due_at" TIMESTAMPTZ(3)
);
CREATE INDEX "review_course_id_submitted_at_idx" ON "review" ("course_id", "submitted_at");
CREATE UNIQUE INDEX "review_open" ON "review" ("course_id") WHERE "state" = 'in_review';

-- The head of a course's default branch as last heard of from versioning. A projection.
CREATE TABLE "course_head" (
  "course_id" UUID PRIMARY KEY,
  "commit" TEXT NOT NULL,
  "tree" TEXT NOT NULL,
  "at" TIMESTAMPTZ(3) NOT NULL
);
