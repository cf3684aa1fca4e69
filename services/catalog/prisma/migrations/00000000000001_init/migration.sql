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

-- The truth: which courses there are, whose they are, whether they are archived or deleted.
CREATE TABLE "course_registry" (
  "course_id" UUID PRIMARY KEY,
  "owner" TEXT NOT NULL,
  "created_by" TEXT NOT NULL,
  "created_at" TIMESTAMPTZ(3) NOT NULL,
  "archived_at" TIMESTAMPTZ(3),
  "deleted_at" TIMESTAMPTZ(3),
  "revision" BIGINT NOT NULL
);
CREATE INDEX "course_registry_owner_idx" ON "course_registry" ("owner");

-- A course that is being made: written before its repository, closed with its registry row.
CREATE TABLE "course_intent" (
  "id" UUID PRIMARY KEY,
  "actor" TEXT NOT NULL,
  "person" TEXT NOT NULL,
  "person_name" TEXT,
  "key" TEXT,
  "fingerprint" TEXT,
  "kept" TEXT,
  "fields" JSONB NOT NULL,
  "state" TEXT NOT NULL CHECK ("state" IN ('open', 'done', 'refused', 'failed')),
  "reason" TEXT,
  "attempts" INTEGER NOT NULL,
  "lease_until" TIMESTAMPTZ(3) NOT NULL,
  "created_at" TIMESTAMPTZ(3) NOT NULL,
  "closed_at" TIMESTAMPTZ(3)
);
CREATE INDEX "course_intent_closed_at_idx" ON "course_intent" ("closed_at");
CREATE UNIQUE INDEX "course_intent_open_key" ON "course_intent" ("actor", "key") WHERE "state" = 'open';
CREATE INDEX "course_intent_open_lease" ON "course_intent" ("lease_until") WHERE "state" = 'open';

-- Who has which role on a course; a subject may have several.
CREATE TABLE "member" (
  "course_id" UUID NOT NULL,
  "subject" TEXT NOT NULL,
  "role" TEXT NOT NULL,
  "since" TIMESTAMPTZ(3) NOT NULL,
  "added_by" TEXT NOT NULL,
  PRIMARY KEY ("course_id", "subject", "role")
);
CREATE INDEX "member_subject_idx" ON "member" ("subject");

-- What the events of versioning and review have told of a course. A projection.
CREATE TABLE "course_projection" (
  "course_id" UUID PRIMARY KEY,
  "facts" JSONB NOT NULL
);

-- A course as lists show it: one row for staff (draft), one for everybody once it is published (public). A projection.
-- Archived and deleted courses stand on shelves of their own, so that the open shelf is read without stepping over them.
CREATE TABLE "course_card" (
  "course_id" UUID NOT NULL,
  "kind" TEXT NOT NULL CHECK ("kind" IN ('draft', 'public')),
  "shelf" TEXT NOT NULL CHECK ("shelf" IN ('open', 'archived', 'deleted')),
  "owner" TEXT NOT NULL,
  "topic" TEXT NOT NULL,
  "level" TEXT NOT NULL,
  "language" TEXT NOT NULL,
  "tags" TEXT[],
  "status" TEXT NOT NULL,
  "published" BOOLEAN NOT NULL,
  "title_key" TEXT NOT NULL,
  "created_at" TIMESTAMPTZ(3) NOT NULL,
  "updated_at" TIMESTAMPTZ(3) NOT NULL,
  "shown" JSONB NOT NULL,
  "search" TSVECTOR NOT NULL,
  PRIMARY KEY ("course_id", "kind")
);
CREATE INDEX "course_card_updated" ON "course_card" ("kind", "shelf", "updated_at", "course_id");
CREATE INDEX "course_card_title" ON "course_card" ("kind", "shelf", "title_key", "course_id");
CREATE INDEX "course_card_created" ON "course_card" ("kind", "shelf", "created_at", "course_id");
CREATE INDEX "course_card_topic" ON "course_card" ("kind", "shelf", "topic", "updated_at", "course_id");
CREATE INDEX "course_card_level" ON "course_card" ("kind", "shelf", "level", "updated_at", "course_id");
CREATE INDEX "course_card_language" ON "course_card" ("kind", "shelf", "language", "updated_at", "course_id");
CREATE INDEX "course_card_status" ON "course_card" ("kind", "shelf", "status", "updated_at", "course_id");
CREATE INDEX "course_card_owner" ON "course_card" ("kind", "shelf", "owner", "updated_at", "course_id");
CREATE INDEX "course_card_published" ON "course_card" ("kind", "shelf", "published", "updated_at", "course_id");
CREATE INDEX "course_card_tags" ON "course_card" USING GIN ("tags");
CREATE INDEX "course_card_search" ON "course_card" USING GIN ("search");
