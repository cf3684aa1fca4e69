-- Drops that the cache is owed: written in the transaction of what makes its entries wrong, deleted once the cache has dropped them.
CREATE TABLE "owed_drop" (
  "id" BIGSERIAL PRIMARY KEY,
  "tags" TEXT[] NOT NULL,
  "owed_at" TIMESTAMPTZ(3) NOT NULL DEFAULT now()
);

-- What is no longer kept is found by these, so that no round of housekeeping reads a whole table.
CREATE INDEX "outbox_sent" ON "outbox" ("sent_at") WHERE "sent_at" IS NOT NULL;
CREATE INDEX "dead_letter_resolved" ON "dead_letter" ("resolved_at") WHERE "resolved_at" IS NOT NULL;
