-- The lines of an import's report, each once however often the source is read: what has no full counterpart, ...
CREATE TABLE "import_loss" (
  "import_id" UUID NOT NULL REFERENCES "import" ("id") ON DELETE CASCADE,
  "ordinal" INTEGER NOT NULL,
  "source" TEXT NOT NULL,
  "what" TEXT NOT NULL,
  "kept" BOOLEAN NOT NULL,
  PRIMARY KEY ("import_id", "ordinal")
);

-- ... and what is kept of it beside the course, for authors and for an export: a text, or a file by its hash.
CREATE TABLE "import_kept" (
  "import_id" UUID NOT NULL REFERENCES "import" ("id") ON DELETE CASCADE,
  "ordinal" INTEGER NOT NULL,
  "kind" TEXT NOT NULL CHECK ("kind" IN ('attributes', 'element', 'text', 'file')),
  "source" TEXT NOT NULL,
  "value" TEXT,
  "hash" TEXT,
  "bytes" BIGINT,
  "type" TEXT,
  PRIMARY KEY ("import_id", "ordinal"),
  CHECK (("kind" = 'file') = ("hash" IS NOT NULL AND "value" IS NULL))
);

-- The files of a course by the hash of their bytes, which lie in the folder of files.
CREATE TABLE "asset" (
  "course_id" UUID NOT NULL,
  "hash" TEXT NOT NULL,
  "name" TEXT NOT NULL,
  "type" TEXT NOT NULL,
  "bytes" BIGINT NOT NULL,
  "created_by" TEXT NOT NULL,
  "created_at" TIMESTAMPTZ(3) NOT NULL,
  PRIMARY KEY ("course_id", "hash")
);
-- A file is asked for by its hash alone.
CREATE INDEX "asset_hash" ON "asset" ("hash");
