-- Counts of stopped requests, by portal.
CREATE INDEX request_stopped ON request (portal) WHERE stopped = 1;
