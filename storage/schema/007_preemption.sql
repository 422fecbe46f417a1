-- Trainings that go on where a worker that was told to end left them, between two steps.
ALTER TABLE trial ADD COLUMN checkpoint_step INTEGER NOT NULL DEFAULT 0;
