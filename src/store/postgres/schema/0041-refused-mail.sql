-- Apart.
-- Lists of verification mail that was given up.
CREATE INDEX CONCURRENTLY IF NOT EXISTS letter_refused ON letter (state, created_at, n) WHERE state = 'refused';
