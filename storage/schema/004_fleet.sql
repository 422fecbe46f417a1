-- Which workers, devices and hosts are given no new leases.
CREATE TABLE drain (
  scope TEXT NOT NULL CHECK (scope IN ('WORKER', 'DEVICE', 'HOST')),
  -- The worker's id, the device's UUID or the host's name.
  name TEXT NOT NULL,
  reason TEXT NOT NULL,
  principal TEXT NOT NULL,
  since_us INTEGER NOT NULL,
  PRIMARY KEY (scope, name)
) STRICT, WITHOUT ROWID;

-- What speaks against a device: trials that failed there and passed elsewhere. No row: nothing.
CREATE TABLE device_health (
  host TEXT NOT NULL,
  device_uuid TEXT NOT NULL,
  blames_json TEXT NOT NULL,
  -- Trials that passed there since the oldest of these was recorded, or another one forgiven.
  passes INTEGER NOT NULL,
  PRIMARY KEY (host, device_uuid)
) STRICT, WITHOUT ROWID;

-- Where the trial failed in a way that may be the device's fault: [[host, device_uuid], ...].
ALTER TABLE trial ADD COLUMN failed_on_json TEXT NOT NULL DEFAULT '[]';

-- Which workers a campaign's trials go to, and how many of them beside other campaigns.
ALTER TABLE campaign ADD COLUMN placement_labels_json TEXT NOT NULL DEFAULT '{}';
ALTER TABLE campaign ADD COLUMN placement_device_kind TEXT NOT NULL DEFAULT '';
ALTER TABLE campaign ADD COLUMN placement_min_memory INTEGER NOT NULL DEFAULT 0;
ALTER TABLE campaign ADD COLUMN priority INTEGER NOT NULL DEFAULT 10;
ALTER TABLE campaign ADD COLUMN share_tag INTEGER NOT NULL DEFAULT 0;
