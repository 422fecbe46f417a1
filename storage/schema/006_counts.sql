-- The store keeps the counts, once a transaction: triggers changed them with each row, and made SQLite keep a copy
-- of each page that a statement changed.
DROP TRIGGER trial_count_insert;
DROP TRIGGER trial_count_update;
DROP TRIGGER attempt_count_insert;
DROP TRIGGER attempt_count_update;
DROP TRIGGER event_count_insert;
DROP TRIGGER result_count_insert;

-- Nothing asks for them, and each result paid with a page of each.
DROP INDEX candidate_graph;
DROP INDEX attempt_result;
