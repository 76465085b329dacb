-- Every event of an operator has an origin, and no other has one. Empty: not recorded.
UPDATE event SET origin = ''
WHERE origin IS NULL AND actor > 'operator:' AND actor < 'operator;';
DROP INDEX event_operator;
CREATE INDEX event_operator ON event (n) WHERE origin IS NOT NULL;
