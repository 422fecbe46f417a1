-- What a restart reads of a campaign's rung reports stands in an index, without their metrics.
DROP INDEX rung_report_campaign;
CREATE INDEX rung_report_score ON rung_report (campaign_id, event_seq, objective);

-- Rankings take trials that were trained in full: what is skipped beside them costs a look into an index.
DROP INDEX result_objective;
CREATE INDEX result_ranked ON result (campaign_id, purpose, rung, objective) WHERE objective IS NOT NULL;

-- SEARCH trials that were proposed under the version, and earlier ones that it leaves out; the store keeps them.
ALTER TABLE space_version ADD COLUMN trials INTEGER NOT NULL DEFAULT 0;
ALTER TABLE space_version ADD COLUMN trials_set_aside INTEGER NOT NULL DEFAULT 0;
UPDATE space_version SET
  trials = CASE
    WHEN (SELECT MAX(v.version) FROM space_version v WHERE v.campaign_id = space_version.campaign_id) = 1
      THEN (SELECT COALESCE(SUM(n.trials), 0) FROM trial_count n
            WHERE n.campaign_id = space_version.campaign_id AND n.purpose = 'SEARCH')
    ELSE (SELECT COUNT(*) FROM trial t WHERE t.campaign_id = space_version.campaign_id AND t.purpose = 'SEARCH'
          AND t.space_version = space_version.version)
  END,
  trials_set_aside = (SELECT COUNT(*) FROM set_aside s
                      WHERE s.campaign_id = space_version.campaign_id AND s.version = space_version.version);
