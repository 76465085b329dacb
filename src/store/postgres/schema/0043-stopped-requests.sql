-- Apart.
-- Counts of stopped requests, by portal.
CREATE INDEX CONCURRENTLY IF NOT EXISTS request_stopped ON request (portal) WHERE stopped = 1;
