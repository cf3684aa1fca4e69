-- Imports are fenced: each claim raises the token, and every write of an attempt names the token it was claimed with.
ALTER TABLE "import"
  ADD COLUMN "token" BIGINT NOT NULL DEFAULT 0,
  -- Who started it may write to any course, by a role on the whole platform: such a right cannot be asked anew.
  ADD COLUMN "by_platform" BOOLEAN NOT NULL DEFAULT false,
  -- SHA-256 of the archive's bytes, in hexadecimal; null in rows from before.
  ADD COLUMN "archive_sha256" TEXT;

-- Uploads with a client's key that are under way. One of a process that died ends by itself.
CREATE TABLE "import_upload" (
  "actor" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  -- The import that it is going to be.
  "import_id" UUID NOT NULL,
  "until" TIMESTAMPTZ(3) NOT NULL,
  PRIMARY KEY ("actor", "key")
);
CREATE INDEX "import_upload_until_idx" ON "import_upload" ("until");
