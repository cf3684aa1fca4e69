-- A course that is being deleted, or deleted, takes no writes. It stands on each branch, since a branch's row is what every writer locks.
ALTER TABLE "branch" ADD COLUMN "closed" BOOLEAN NOT NULL DEFAULT false;

-- Nodes that some commit kept from learners: what there may be to leave out when a learner reads. A node that is for everybody again stays.
CREATE TABLE "restricted_node" (
  "course_id" UUID NOT NULL,
  "node_id" UUID NOT NULL,
  PRIMARY KEY ("course_id", "node_id")
);

-- What was published until when.
CREATE INDEX "ref_log_published" ON "ref_log" ("course_id", "at") WHERE "ref" = 'published';
