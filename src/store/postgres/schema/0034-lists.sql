-- Apart.
-- Lists of operators' actions by who, what and when, and of accounts by when they were made.
CREATE INDEX CONCURRENTLY IF NOT EXISTS event_operator_time ON event (at, n) WHERE origin IS NOT NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS event_operator_actor ON event (actor, at, n) WHERE origin IS NOT NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS event_operator_name ON event (name, at, n) WHERE origin IS NOT NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS account_created ON account (created_at, n);
