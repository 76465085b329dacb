-- The time at which the organisation's provider authenticated the person of a session. NULL if it did not say.
ALTER TABLE operator_key ADD COLUMN authenticated_at INTEGER;
