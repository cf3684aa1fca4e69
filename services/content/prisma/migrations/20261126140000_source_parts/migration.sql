-- What a source calls itself, and the last import of it into the same course, with which one is compared.
ALTER TABLE "import" ADD COLUMN "source_id" TEXT;
ALTER TABLE "import" ADD COLUMN "base_import" UUID;
CREATE INDEX "import_of_source" ON "import" ("course_id", "finished_at") WHERE "state" = 'done';

-- What a source said of each of its parts, in document order: the base of the comparison when it comes again.
CREATE TABLE "import_part" (
  "import_id" UUID NOT NULL REFERENCES "import" ("id") ON DELETE CASCADE,
  "ordinal" INTEGER NOT NULL,
  "key" TEXT NOT NULL,
  "node_id" UUID NOT NULL,
  "kind" TEXT NOT NULL,
  "parent" TEXT,
  "marks" TEXT NOT NULL,
  "items" TEXT,
  "objectives" TEXT,
  PRIMARY KEY ("import_id", "ordinal")
);
