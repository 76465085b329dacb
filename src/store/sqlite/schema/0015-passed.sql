-- 1 for a released request that failed so often that the next of its account and portal goes before it.
ALTER TABLE request ADD COLUMN passed INTEGER NOT NULL DEFAULT 0 CHECK (passed = 0 OR passed = 1);

-- An operator can discard a released request as well.
DROP TRIGGER request_edges;
CREATE TRIGGER request_edges BEFORE UPDATE OF state ON request
WHEN OLD.state <> NEW.state AND NOT (
    (OLD.state = 'held' AND (NEW.state = 'released' OR NEW.state = 'discarded' OR NEW.state = 'expired'))
    OR (OLD.state = 'released'
        AND (NEW.state = 'delivered' OR NEW.state = 'failed' OR NEW.state = 'discarded'))
    OR (OLD.state = 'failed' AND (NEW.state = 'released' OR NEW.state = 'discarded'))
    OR ((OLD.state = 'discarded' OR OLD.state = 'expired') AND NEW.state = 'released')
)
BEGIN
    SELECT RAISE(ABORT, 'a request cannot change its state in this way');
END;
