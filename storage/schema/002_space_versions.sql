-- A campaign's space may change while it runs: its versions, what each of them leaves out, and the version
-- of every trial.

CREATE TABLE space_version (
  campaign_id INTEGER NOT NULL REFERENCES campaign (id),
  version INTEGER NOT NULL,
  space_name TEXT NOT NULL,
  space_hash TEXT NOT NULL,
  space_file_name TEXT NOT NULL,
  space_text TEXT NOT NULL,
  constraints_json TEXT NOT NULL,
  -- Proposals logged after this event, and before that of the next version, are of this version.
  event_seq INTEGER NOT NULL,
  principal TEXT NOT NULL,
  created_us INTEGER NOT NULL,
  PRIMARY KEY (campaign_id, version)
) STRICT;
INSERT INTO space_version
  SELECT c.id, 1, c.space_name, c.space_hash, c.space_file_name, c.space_text, c.constraints_json,
         COALESCE(e.seq, 0), COALESCE(e.principal, c.owner), c.created_us
  FROM campaign c LEFT JOIN event e ON e.campaign_id = c.id AND e.kind = 'campaign_launched';

-- SEARCH trials that a version neither ranks nor shows to the strategy.
CREATE TABLE set_aside (
  campaign_id INTEGER NOT NULL REFERENCES campaign (id),
  version INTEGER NOT NULL,
  trial_id INTEGER NOT NULL REFERENCES trial (id),
  reason TEXT NOT NULL,
  PRIMARY KEY (campaign_id, version, trial_id)
) STRICT, WITHOUT ROWID;

ALTER TABLE campaign ADD COLUMN space_version INTEGER NOT NULL DEFAULT 1;

-- A candidate that a version sets aside may be evaluated anew by a later one: the version is part of what
-- makes a trial unique, which SQLite can only change by building the table anew. Views and references keep
-- its name meanwhile.
PRAGMA legacy_alter_table = ON;
CREATE TABLE trial_rebuilt (
  id INTEGER PRIMARY KEY,
  campaign_id INTEGER NOT NULL REFERENCES campaign (id),
  number INTEGER NOT NULL,
  purpose TEXT NOT NULL,
  replicate INTEGER NOT NULL,
  reference INTEGER NOT NULL,
  owner TEXT NOT NULL DEFAULT '',
  project TEXT NOT NULL DEFAULT '',
  description TEXT NOT NULL DEFAULT '',
  labels_json TEXT NOT NULL DEFAULT '{}',
  notes TEXT NOT NULL DEFAULT '',
  git_commit TEXT NOT NULL DEFAULT '',
  device_count INTEGER NOT NULL DEFAULT 1,
  parent_trial_id INTEGER REFERENCES trial (id),
  candidate_id INTEGER NOT NULL REFERENCES candidate (id),
  decisions_json TEXT NOT NULL,
  -- NULL: the candidate's; otherwise an isomorphic one with its nodes in another order.
  graph_json TEXT,
  activation_memory INTEGER NOT NULL,
  params_as_written INTEGER NOT NULL,
  macs_as_written INTEGER NOT NULL,
  seen_seq INTEGER NOT NULL,
  space_version INTEGER NOT NULL,
  state TEXT NOT NULL,
  failure TEXT,
  reason TEXT NOT NULL,
  crashes INTEGER NOT NULL,
  timeouts INTEGER NOT NULL,
  out_of_memory INTEGER NOT NULL,
  interruptions INTEGER NOT NULL,
  data_failures INTEGER NOT NULL DEFAULT 0,
  -- A worker that tries it again has more memory than this.
  out_of_memory_bytes INTEGER NOT NULL DEFAULT 0,
  crash_hosts_json TEXT NOT NULL,
  last_attempt_id INTEGER,
  last_fence INTEGER NOT NULL,
  required_worker_id TEXT NOT NULL,
  weights_path TEXT NOT NULL,
  weights_sha256 TEXT NOT NULL,
  created_us INTEGER NOT NULL,
  finished_us INTEGER NOT NULL,
  UNIQUE (campaign_id, number),
  UNIQUE (campaign_id, candidate_id, purpose, replicate, space_version)
) STRICT;
INSERT INTO trial_rebuilt (
  id, campaign_id, number, purpose, replicate, reference, owner, project, description, labels_json,
  notes, git_commit, device_count, parent_trial_id, candidate_id, decisions_json, graph_json,
  activation_memory, params_as_written, macs_as_written, seen_seq, state, failure, reason, crashes,
  timeouts, out_of_memory, interruptions, data_failures, out_of_memory_bytes, crash_hosts_json,
  last_attempt_id, last_fence, required_worker_id, weights_path, weights_sha256, created_us,
  finished_us,
  space_version)
  SELECT
    id, campaign_id, number, purpose, replicate, reference, owner, project, description, labels_json,
    notes, git_commit, device_count, parent_trial_id, candidate_id, decisions_json, graph_json,
    activation_memory, params_as_written, macs_as_written, seen_seq, state, failure, reason, crashes,
    timeouts, out_of_memory, interruptions, data_failures, out_of_memory_bytes, crash_hosts_json,
    last_attempt_id, last_fence, required_worker_id, weights_path, weights_sha256, created_us,
    finished_us,
    1
  FROM trial;
DROP TABLE trial;
ALTER TABLE trial_rebuilt RENAME TO trial;
PRAGMA legacy_alter_table = OFF;
CREATE INDEX trial_live ON trial (campaign_id, id) WHERE state IN ('PENDING', 'LEASED', 'PAUSED');
CREATE INDEX trial_purpose ON trial (campaign_id, purpose, id);
CREATE INDEX trial_failed ON trial (campaign_id, finished_us) WHERE failure IS NOT NULL;
CREATE TRIGGER trial_count_insert AFTER INSERT ON trial BEGIN
  INSERT INTO trial_count VALUES (NEW.campaign_id, NEW.purpose, NEW.state, 1)
    ON CONFLICT DO UPDATE SET trials = trials + 1;
END;
CREATE TRIGGER trial_count_update AFTER UPDATE OF state ON trial WHEN OLD.state <> NEW.state BEGIN
  UPDATE trial_count SET trials = trials - 1
    WHERE campaign_id = OLD.campaign_id AND purpose = OLD.purpose AND state = OLD.state;
  INSERT INTO trial_count VALUES (NEW.campaign_id, NEW.purpose, NEW.state, 1)
    ON CONFLICT DO UPDATE SET trials = trials + 1;
END;
