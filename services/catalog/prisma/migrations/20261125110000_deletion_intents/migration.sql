-- A course that is being deleted or restored: written before its repository is closed or opened, removed with the mark.
CREATE TABLE "deletion_intent" (
  "course_id" UUID PRIMARY KEY,
  "token" UUID NOT NULL,
  "lease_until" TIMESTAMPTZ(3) NOT NULL,
  "created_at" TIMESTAMPTZ(3) NOT NULL
);
CREATE INDEX "deletion_intent_lease_until_idx" ON "deletion_intent" ("lease_until");
