-- Trainings that report at the rungs of a fidelity schedule, pause there, go on elsewhere or stop.
CREATE TABLE rung_report (
  trial_id INTEGER NOT NULL REFERENCES trial (id),
  rung INTEGER NOT NULL,
  campaign_id INTEGER NOT NULL REFERENCES campaign (id),
  attempt_id INTEGER NOT NULL REFERENCES attempt (id),
  fence INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  objective REAL,
  metrics_json TEXT NOT NULL,
  action TEXT NOT NULL CHECK (action IN ('CONTINUE', 'STOP', 'PAUSE')),
  -- The order in which the schedule sees a campaign's reports.
  event_seq INTEGER NOT NULL,
  received_us INTEGER NOT NULL,
  PRIMARY KEY (trial_id, rung)
) STRICT, WITHOUT ROWID;
CREATE INDEX rung_report_campaign ON rung_report (campaign_id, event_seq);

ALTER TABLE campaign ADD COLUMN fidelity_kind TEXT NOT NULL DEFAULT 'full';
ALTER TABLE campaign ADD COLUMN fidelity_json TEXT NOT NULL DEFAULT '{}';

-- The last rung that the trial reported, what stands for it there, and where its training can go on.
ALTER TABLE trial ADD COLUMN rung INTEGER NOT NULL DEFAULT 0;
ALTER TABLE trial ADD COLUMN rung_action TEXT NOT NULL DEFAULT 'CONTINUE';
ALTER TABLE trial ADD COLUMN checkpoint_worker_id TEXT NOT NULL DEFAULT '';
ALTER TABLE trial ADD COLUMN checkpoint_path TEXT NOT NULL DEFAULT '';
ALTER TABLE trial ADD COLUMN checkpoint_sha256 TEXT NOT NULL DEFAULT '';
ALTER TABLE trial ADD COLUMN checkpoint_epoch INTEGER NOT NULL DEFAULT 0;
-- Of the trial's attempts that succeeded. Trials that ended before this version keep 0.
ALTER TABLE trial ADD COLUMN busy_ms INTEGER NOT NULL DEFAULT 0;

-- How a SUCCEEDED attempt's part of the training ended: COMPLETED, STOPPED or PAUSED.
ALTER TABLE attempt ADD COLUMN segment TEXT;
UPDATE attempt SET segment = 'COMPLETED' WHERE state = 'SUCCEEDED';

-- The rung at which the trial was stopped; 0: it was trained in full.
ALTER TABLE result ADD COLUMN rung INTEGER NOT NULL DEFAULT 0;

ALTER TABLE worker ADD COLUMN rungs INTEGER NOT NULL DEFAULT 0;

-- A training in several parts took the time of all of them.
DROP TRIGGER result_count_insert;
CREATE TRIGGER result_count_insert AFTER INSERT ON result BEGIN
  INSERT INTO result_count
    VALUES (NEW.campaign_id, NEW.purpose, NEW.feasible, 1,
            (SELECT COALESCE(SUM(busy_ms), 0) FROM attempt
             WHERE trial_id = NEW.trial_id AND state = 'SUCCEEDED'))
    ON CONFLICT DO UPDATE SET results = results + 1, busy_ms = busy_ms + excluded.busy_ms;
END;
