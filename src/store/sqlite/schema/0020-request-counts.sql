-- Settled requests by portal and state, so that nothing counts all that there ever were. What waits is
-- counted by its index: accepting a message changes nothing here.
CREATE TABLE request_count (
    portal TEXT NOT NULL,
    state TEXT NOT NULL,
    requests INTEGER NOT NULL CHECK (requests >= 0),
    PRIMARY KEY (portal, state)
) STRICT, WITHOUT ROWID;

INSERT INTO request_count
    SELECT portal, state, count(*) FROM request
    WHERE state <> 'held' AND state <> 'released' GROUP BY portal, state;

CREATE TRIGGER request_settled AFTER UPDATE OF state ON request
WHEN OLD.state <> NEW.state AND NEW.state <> 'held' AND NEW.state <> 'released'
BEGIN
    INSERT INTO request_count (portal, state, requests) VALUES (NEW.portal, NEW.state, 1)
    ON CONFLICT DO UPDATE SET requests = requests + 1;
END;

CREATE TRIGGER request_taken_up AFTER UPDATE OF state ON request
WHEN OLD.state <> NEW.state AND OLD.state <> 'held' AND OLD.state <> 'released'
BEGIN
    UPDATE request_count SET requests = requests - 1 WHERE portal = OLD.portal AND state = OLD.state;
    DELETE FROM request_count WHERE portal = OLD.portal AND state = OLD.state AND requests = 0;
END;

CREATE TRIGGER request_erased AFTER DELETE ON request
WHEN OLD.state <> 'held' AND OLD.state <> 'released'
BEGIN
    UPDATE request_count SET requests = requests - 1 WHERE portal = OLD.portal AND state = OLD.state;
    DELETE FROM request_count WHERE portal = OLD.portal AND state = OLD.state AND requests = 0;
END;
