-- The turn of the last closing or opening: one that was sent before it, and comes after it, is refused.
ALTER TABLE "course" ADD COLUMN "closing_turn" BIGINT NOT NULL DEFAULT 0;
