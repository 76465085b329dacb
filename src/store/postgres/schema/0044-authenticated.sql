-- The time at which the organisation's provider authenticated the person of a session. NULL if it did not say. Older
-- programs leave the column out.
ALTER TABLE operator_key ADD COLUMN IF NOT EXISTS authenticated_at bigint;
