-- docs/storage_format.md describes every table and column. Times called _us are UTC microseconds.

-- database_id, incarnation.
CREATE TABLE meta (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE counter (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What no spelling of a candidate changes; equal for isomorphic networks.
CREATE TABLE candidate (
  id INTEGER PRIMARY KEY,
  candidate_hash TEXT NOT NULL UNIQUE,
  graph_hash TEXT NOT NULL,
  graph_json TEXT NOT NULL,
  params INTEGER NOT NULL,
  macs INTEGER NOT NULL,
  depth INTEGER NOT NULL
) STRICT;
CREATE INDEX candidate_graph ON candidate (graph_hash);

CREATE TABLE campaign (
  id INTEGER PRIMARY KEY,
  project TEXT NOT NULL,
  name TEXT NOT NULL,
  owner TEXT NOT NULL,
  description TEXT NOT NULL,
  labels_json TEXT NOT NULL,
  notes TEXT NOT NULL,
  git_commit TEXT NOT NULL,
  space_name TEXT NOT NULL,
  space_hash TEXT NOT NULL,
  created_us INTEGER NOT NULL,
  -- settings
  dataset TEXT NOT NULL,
  dataset_digest TEXT NOT NULL,
  input_shape_json TEXT NOT NULL,
  classes INTEGER NOT NULL,
  validation_seed TEXT NOT NULL,
  validation_count INTEGER NOT NULL,
  numeric_mode TEXT NOT NULL,
  recipe_json TEXT NOT NULL,
  recipe_hash TEXT NOT NULL,
  strategy_kind TEXT NOT NULL,
  strategy_json TEXT NOT NULL,
  objective_metric TEXT NOT NULL,
  objective_goal TEXT NOT NULL,
  constraints_json TEXT NOT NULL,
  duplicates TEXT NOT NULL,
  strict INTEGER NOT NULL,
  epochs_requested INTEGER NOT NULL,
  budget_trials INTEGER NOT NULL,
  budget_duration_ms INTEGER NOT NULL,
  finals_top INTEGER NOT NULL,
  finals_seeds INTEGER NOT NULL,
  finals_reference INTEGER NOT NULL,
  seed TEXT NOT NULL,
  -- the files
  file_name TEXT NOT NULL,
  campaign_text TEXT NOT NULL,
  space_file_name TEXT NOT NULL,
  space_text TEXT NOT NULL,
  overrides_json TEXT NOT NULL,
  -- the space's reference candidate
  reference_candidate_id INTEGER REFERENCES candidate (id),
  reference_decisions_json TEXT,
  reference_graph_json TEXT,
  reference_activation_memory INTEGER,
  reference_params_as_written INTEGER,
  reference_macs_as_written INTEGER,
  -- progress
  state TEXT NOT NULL,
  reason TEXT NOT NULL,
  epochs INTEGER NOT NULL,
  active_ms INTEGER NOT NULL,
  next_trial_number INTEGER NOT NULL,
  last_result_seq INTEGER NOT NULL,
  refill_count INTEGER NOT NULL,
  refill_seen_seq INTEGER NOT NULL,
  proposals INTEGER NOT NULL,
  strategy_exhausted INTEGER NOT NULL,
  finals_stage INTEGER NOT NULL,
  signatures_from INTEGER NOT NULL,
  winner_trial_id INTEGER,
  winner_is_reference INTEGER NOT NULL,
  winner_committed INTEGER NOT NULL,
  test_reads INTEGER NOT NULL,
  pinned_dataset_digest TEXT NOT NULL,
  pinned_trainer_build TEXT NOT NULL,
  pinned_device TEXT NOT NULL,
  archived INTEGER NOT NULL DEFAULT 0,
  finished_us INTEGER NOT NULL,
  UNIQUE (project, name)
) STRICT;
CREATE INDEX campaign_name ON campaign (name);
CREATE INDEX campaign_live ON campaign (id) WHERE state IN ('RUNNING', 'PAUSED', 'FINALIZING');

-- The columns of campaign_<id>_values, in order.
CREATE TABLE campaign_column (
  campaign_id INTEGER NOT NULL REFERENCES campaign (id),
  position INTEGER NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('decision', 'metric')),
  type TEXT NOT NULL CHECK (type IN ('INTEGER', 'REAL', 'TEXT')),
  PRIMARY KEY (campaign_id, position),
  UNIQUE (campaign_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE worker (
  id TEXT PRIMARY KEY,
  host TEXT NOT NULL,
  build TEXT NOT NULL,
  labels_json TEXT NOT NULL,
  slots INTEGER NOT NULL,
  cores INTEGER NOT NULL,
  memory_bytes INTEGER NOT NULL,
  device_kind TEXT NOT NULL,
  device_uuid TEXT NOT NULL,
  device_model TEXT NOT NULL,
  trainer_build TEXT NOT NULL,
  libtorch_version TEXT NOT NULL,
  numeric_modes_json TEXT NOT NULL,
  fast_numeric_mode TEXT NOT NULL,
  datasets_json TEXT NOT NULL,
  first_seen_us INTEGER NOT NULL,
  last_seen_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE trial (
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
  UNIQUE (campaign_id, candidate_id, purpose, replicate)
) STRICT;
CREATE INDEX trial_live ON trial (campaign_id, id) WHERE state IN ('PENDING', 'LEASED', 'PAUSED');
CREATE INDEX trial_purpose ON trial (campaign_id, purpose, id);
CREATE INDEX trial_failed ON trial (campaign_id, finished_us) WHERE failure IS NOT NULL;

CREATE TABLE attempt (
  id INTEGER PRIMARY KEY,
  trial_id INTEGER NOT NULL REFERENCES trial (id),
  campaign_id INTEGER NOT NULL REFERENCES campaign (id),
  worker_id TEXT NOT NULL REFERENCES worker (id),
  request_id TEXT NOT NULL,
  owner TEXT NOT NULL,
  result_id TEXT NOT NULL,
  slot INTEGER NOT NULL,
  fence INTEGER NOT NULL,
  state TEXT NOT NULL,
  failure TEXT,
  message TEXT NOT NULL,
  log_tail TEXT NOT NULL,
  host TEXT NOT NULL,
  device_kind TEXT NOT NULL,
  device_uuid TEXT NOT NULL,
  device_model TEXT NOT NULL,
  device_count INTEGER NOT NULL DEFAULT 1,
  device_share REAL NOT NULL,
  cores INTEGER NOT NULL,
  allocated_ms INTEGER NOT NULL,
  busy_ms INTEGER NOT NULL,
  cpu_ms INTEGER NOT NULL,
  peak_memory_bytes INTEGER NOT NULL,
  energy_j REAL,
  started_us INTEGER NOT NULL,
  ended_us INTEGER NOT NULL,
  -- What it ended like ('' for success), and in which order within the campaign such ends were committed.
  signature TEXT,
  signature_seq INTEGER
) STRICT;
CREATE INDEX attempt_trial ON attempt (trial_id, id);
CREATE INDEX attempt_running ON attempt (campaign_id, id) WHERE state = 'RUNNING';
CREATE INDEX attempt_result ON attempt (worker_id, slot, ended_us) WHERE result_id <> '';
CREATE INDEX attempt_signature ON attempt (campaign_id, signature_seq) WHERE signature_seq IS NOT NULL;

CREATE TABLE result (
  trial_id INTEGER PRIMARY KEY REFERENCES trial (id),
  attempt_id INTEGER NOT NULL REFERENCES attempt (id),
  campaign_id INTEGER NOT NULL REFERENCES campaign (id),
  -- The trial's, so that one index ranks a campaign's SEARCH trials.
  purpose TEXT NOT NULL,
  -- '' where the controller itself judged the trial infeasible.
  result_id TEXT NOT NULL,
  seq INTEGER NOT NULL,
  feasible INTEGER NOT NULL,
  objective REAL,
  metrics_json TEXT NOT NULL,
  epochs INTEGER NOT NULL,
  steps INTEGER NOT NULL,
  correct INTEGER NOT NULL,
  total INTEGER NOT NULL,
  seeds_json TEXT NOT NULL,
  split_hash TEXT NOT NULL,
  dataset_digest TEXT NOT NULL,
  recipe_hash TEXT NOT NULL,
  numeric_mode TEXT NOT NULL,
  trainer_build TEXT NOT NULL,
  libtorch_version TEXT NOT NULL,
  device_model TEXT NOT NULL,
  weights_path TEXT NOT NULL,
  weights_sha256 TEXT NOT NULL,
  weights_bytes INTEGER NOT NULL,
  received_us INTEGER NOT NULL
) STRICT;
-- Not unique: a worker's mistake must not stop the controller. trial_id makes a result the only one.
CREATE INDEX result_result_id ON result (result_id) WHERE result_id <> '';
CREATE INDEX result_objective ON result (campaign_id, purpose, objective) WHERE objective IS NOT NULL;

CREATE TABLE measurement (
  attempt_id INTEGER NOT NULL REFERENCES attempt (id),
  step INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  metrics_json TEXT NOT NULL,
  PRIMARY KEY (attempt_id, step)
) STRICT, WITHOUT ROWID;

-- The log refers to rows by number alone: it stands without them.
CREATE TABLE event (
  seq INTEGER PRIMARY KEY,
  campaign_id INTEGER,
  trial_id INTEGER,
  attempt_id INTEGER,
  kind TEXT NOT NULL,
  principal TEXT NOT NULL,
  payload_json TEXT NOT NULL,
  wall_us INTEGER NOT NULL
) STRICT;
CREATE INDEX event_campaign ON event (campaign_id, seq) WHERE campaign_id IS NOT NULL;
CREATE INDEX event_trial ON event (trial_id, seq) WHERE trial_id IS NOT NULL;

CREATE TABLE proposer_state (
  campaign_id INTEGER PRIMARY KEY REFERENCES campaign (id),
  event_seq INTEGER NOT NULL,
  seen_seq INTEGER NOT NULL,
  state TEXT NOT NULL
) STRICT;

CREATE TABLE request (
  id TEXT PRIMARY KEY,
  digest TEXT NOT NULL,
  answer BLOB NOT NULL,
  wall_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE archived_outcome (
  id INTEGER PRIMARY KEY,
  worker_id TEXT NOT NULL,
  result_id TEXT NOT NULL,
  trial_id INTEGER NOT NULL,
  attempt_id INTEGER NOT NULL,
  fence INTEGER NOT NULL,
  why TEXT NOT NULL,
  payload_json TEXT NOT NULL,
  wall_us INTEGER NOT NULL
) STRICT;

-- Counts kept with each write, so that a status page and a restart count no rows.
CREATE TABLE trial_count (
  campaign_id INTEGER NOT NULL,
  purpose TEXT NOT NULL,
  state TEXT NOT NULL,
  trials INTEGER NOT NULL,
  PRIMARY KEY (campaign_id, purpose, state)
) STRICT, WITHOUT ROWID;
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

CREATE TABLE attempt_count (
  campaign_id INTEGER NOT NULL,
  state TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  PRIMARY KEY (campaign_id, state)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER attempt_count_insert AFTER INSERT ON attempt BEGIN
  INSERT INTO attempt_count VALUES (NEW.campaign_id, NEW.state, 1)
    ON CONFLICT DO UPDATE SET attempts = attempts + 1;
END;
CREATE TRIGGER attempt_count_update AFTER UPDATE OF state ON attempt WHEN OLD.state <> NEW.state BEGIN
  UPDATE attempt_count SET attempts = attempts - 1 WHERE campaign_id = OLD.campaign_id AND state = OLD.state;
  INSERT INTO attempt_count VALUES (NEW.campaign_id, NEW.state, 1)
    ON CONFLICT DO UPDATE SET attempts = attempts + 1;
END;

CREATE TABLE event_count (
  campaign_id INTEGER NOT NULL,
  kind TEXT NOT NULL,
  events INTEGER NOT NULL,
  PRIMARY KEY (campaign_id, kind)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER event_count_insert AFTER INSERT ON event WHEN NEW.campaign_id IS NOT NULL BEGIN
  INSERT INTO event_count VALUES (NEW.campaign_id, NEW.kind, 1)
    ON CONFLICT DO UPDATE SET events = events + 1;
END;

-- The busy time of feasible results' attempts, by purpose.
CREATE TABLE result_count (
  campaign_id INTEGER NOT NULL,
  purpose TEXT NOT NULL,
  feasible INTEGER NOT NULL,
  results INTEGER NOT NULL,
  busy_ms INTEGER NOT NULL,
  PRIMARY KEY (campaign_id, purpose, feasible)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER result_count_insert AFTER INSERT ON result BEGIN
  INSERT INTO result_count
    VALUES (NEW.campaign_id, NEW.purpose, NEW.feasible, 1,
            (SELECT busy_ms FROM attempt WHERE id = NEW.attempt_id))
    ON CONFLICT DO UPDATE SET results = results + 1, busy_ms = busy_ms + excluded.busy_ms;
END;
