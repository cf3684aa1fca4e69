-- A client's Idempotency-Key is bound to the first request that came with it, whichever service owns the effect.
CREATE TABLE "key_claim" (
  "actor" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "fingerprint" TEXT NOT NULL,
  "expires_at" TIMESTAMPTZ(3) NOT NULL,
  PRIMARY KEY ("actor", "key")
);
CREATE INDEX "key_claim_expires_at_idx" ON "key_claim" ("expires_at");
