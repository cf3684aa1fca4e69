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

-- A node on which something can be deployed, as projected from versioning. Rows of removed nodes are kept.
CREATE TABLE "submittable_content" (
  "node_id" UUID PRIMARY KEY,
  "course_id" UUID NOT NULL,
  "kind" TEXT NOT NULL,
  "title" TEXT NOT NULL,
  "commit" TEXT NOT NULL,
  "removed_at" TIMESTAMPTZ(3),
  "updated_at" TIMESTAMPTZ(3) NOT NULL
);
CREATE INDEX "submittable_content_course_id_node_id_idx" ON "submittable_content" ("course_id", "node_id");

-- A course whose contents have to be listed anew: an event named too few of its nodes, or a rebuild was asked for.
CREATE TABLE "content_sync" (
  "course_id" UUID PRIMARY KEY,
  "commit" TEXT NOT NULL,
  "attempts" INTEGER NOT NULL,
  "lease_until" TIMESTAMPTZ(3) NOT NULL,
  "requested_at" TIMESTAMPTZ(3) NOT NULL
);
CREATE INDEX "content_sync_lease_until_idx" ON "content_sync" ("lease_until");
