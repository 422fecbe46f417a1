-- Operators that space files define: which of them a campaign needs and a worker's trainers have.
ALTER TABLE campaign ADD COLUMN operators_json TEXT NOT NULL DEFAULT '[]';
ALTER TABLE worker ADD COLUMN operators_json TEXT NOT NULL DEFAULT '[]';
