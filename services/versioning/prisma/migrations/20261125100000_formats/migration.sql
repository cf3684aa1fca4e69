-- The version of the form in which each object and commit is written; part of what its hash covers. All there are so far are of version 1.
ALTER TABLE "object" ADD COLUMN "format" SMALLINT NOT NULL DEFAULT 1;
ALTER TABLE "commit" ADD COLUMN "format" SMALLINT NOT NULL DEFAULT 1;
