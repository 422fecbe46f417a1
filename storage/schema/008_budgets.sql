-- Budgets of device time and by date.
ALTER TABLE campaign ADD COLUMN budget_device_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE campaign ADD COLUMN budget_until_us INTEGER NOT NULL DEFAULT 0;
-- Time in which a controller had the campaign, and what of it there was when an attempt began: no clock says how
-- long none ran.
ALTER TABLE campaign ADD COLUMN served_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempt ADD COLUMN began_ms INTEGER NOT NULL DEFAULT 0;

-- What an attempt is charged for: the time for which it had a share of devices.
ALTER TABLE attempt ADD COLUMN device_ms INTEGER NOT NULL
  AS (CAST(ROUND(allocated_ms * device_count * device_share) AS INTEGER)) VIRTUAL;
-- Those that ended before version 5 have no busy_ms, either.
ALTER TABLE trial ADD COLUMN device_ms INTEGER NOT NULL DEFAULT 0;
UPDATE trial SET (busy_ms, device_ms) = (SELECT COALESCE(SUM(a.busy_ms), 0), COALESCE(SUM(a.device_ms), 0)
  FROM attempt a WHERE a.trial_id = trial.id AND a.segment IS NOT NULL);

ALTER TABLE attempt_count ADD COLUMN device_ms INTEGER NOT NULL DEFAULT 0;
INSERT OR REPLACE INTO attempt_count (campaign_id, state, attempts, device_ms)
  SELECT campaign_id, state, COUNT(*), SUM(device_ms) FROM attempt GROUP BY 1, 2;
-- Of the attempts that results come from.
ALTER TABLE result_count ADD COLUMN device_ms INTEGER NOT NULL DEFAULT 0;
UPDATE result_count SET device_ms = useful.device_ms FROM
    (SELECT r.campaign_id, r.purpose, r.feasible, SUM(a.device_ms) AS device_ms FROM result r
     JOIN attempt a ON a.trial_id = r.trial_id AND
       (a.segment IS NOT NULL OR (a.id = r.attempt_id AND r.feasible = 0))
     GROUP BY 1, 2, 3) AS useful
  WHERE (result_count.campaign_id, result_count.purpose, result_count.feasible) =
    (useful.campaign_id, useful.purpose, useful.feasible);
