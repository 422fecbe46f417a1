-- 1: the campaign's current version sets the trial aside, and rankings pass it by. Where it is 0, set_aside says it.
ALTER TABLE result ADD COLUMN skipped INTEGER NOT NULL DEFAULT 0;
DROP INDEX result_ranked;
CREATE INDEX result_ranked ON result (campaign_id, purpose, rung, skipped, objective) WHERE objective IS NOT NULL;

-- The last trial of those that the version sets aside for which that is done.
ALTER TABLE space_version ADD COLUMN skipped_up_to INTEGER NOT NULL DEFAULT 0;
