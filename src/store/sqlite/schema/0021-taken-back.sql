-- "This was not me" can be taken back. A request that was discarded by it can be held again: by the
-- person alone until then, which is as long as a link of theirs is valid.
ALTER TABLE request ADD COLUMN restorable_until INTEGER;
-- When it was said last; whether the domain vouched for what was refused; the number of the one mail that
-- goes to such an address while it gets no other, -1 where it is the account's own, 0 before.
ALTER TABLE account ADD COLUMN refused_at INTEGER;
ALTER TABLE account ADD COLUMN refused_authenticated INTEGER NOT NULL DEFAULT 0
    CHECK (refused_authenticated = 0 OR refused_authenticated = 1);
ALTER TABLE account ADD COLUMN quiet_mailed INTEGER NOT NULL DEFAULT 0;

DROP TRIGGER request_edges;
CREATE TRIGGER request_edges BEFORE UPDATE OF state ON request
WHEN OLD.state <> NEW.state AND NOT (
    (OLD.state = 'held' AND (NEW.state = 'released' OR NEW.state = 'discarded' OR NEW.state = 'expired'))
    OR (OLD.state = 'released'
        AND (NEW.state = 'delivered' OR NEW.state = 'failed' OR NEW.state = 'discarded'))
    OR (OLD.state = 'failed' AND (NEW.state = 'released' OR NEW.state = 'discarded'))
    OR ((OLD.state = 'discarded' OR OLD.state = 'expired') AND NEW.state = 'released')
    OR (OLD.state = 'discarded' AND NEW.state = 'held' AND OLD.restorable_until IS NOT NULL)
)
BEGIN
    SELECT RAISE(ABORT, 'a request cannot change its state in this way');
END;

-- Accounts that our mail cannot reach, in the order of their addresses.
CREATE INDEX account_undeliverable ON account (key) WHERE undeliverable = 1;
