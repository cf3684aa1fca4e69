-- The replicas of this service that live; each renews its row once a second.
CREATE TABLE "replica" (
  "id" UUID PRIMARY KEY,
  "name" TEXT NOT NULL,
  -- Kinds of leased work that it takes part in.
  "works" TEXT[] NOT NULL,
  "until" TIMESTAMPTZ(3) NOT NULL
);

-- What one replica may do at a time; held for as long as the row of its replica lives.
CREATE TABLE "lease" (
  "name" TEXT PRIMARY KEY,
  "replica" UUID,
  "token" BIGINT NOT NULL
);
