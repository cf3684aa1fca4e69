-- Tags as they are written, beside "tags", which holds what their spellings have in common.
ALTER TABLE "course_card" ADD COLUMN "tag_names" TEXT[];
-- Cards that were made in an older way, by code of before: found here, made anew one by one, and then gone from here.
CREATE INDEX "course_card_outdated" ON "course_card" ("course_id") WHERE ("shown" ->> 'form') IS DISTINCT FROM '2';
