-- Requests by portal and state, so that nothing counts all that there ever were.
CREATE TABLE request_count (
    portal TEXT NOT NULL,
    state TEXT NOT NULL,
    requests INTEGER NOT NULL CHECK (requests >= 0),
    PRIMARY KEY (portal, state)
) STRICT, WITHOUT ROWID;

INSERT INTO request_count SELECT portal, state, count(*) FROM request GROUP BY portal, state;

CREATE TRIGGER request_counted AFTER INSERT ON request
BEGIN
    INSERT INTO request_count (portal, state, requests) VALUES (NEW.portal, NEW.state, 1)
    ON CONFLICT DO UPDATE SET requests = requests + 1;
END;

CREATE TRIGGER request_uncounted AFTER DELETE ON request
BEGIN
    UPDATE request_count SET requests = requests - 1 WHERE portal = OLD.portal AND state = OLD.state;
    DELETE FROM request_count WHERE portal = OLD.portal AND state = OLD.state AND requests = 0;
END;

CREATE TRIGGER request_recounted AFTER UPDATE OF portal, state ON request
WHEN OLD.state <> NEW.state OR OLD.portal <> NEW.portal
BEGIN
    UPDATE request_count SET requests = requests - 1 WHERE portal = OLD.portal AND state = OLD.state;
    DELETE FROM request_count WHERE portal = OLD.portal AND state = OLD.state AND requests = 0;
    INSERT INTO request_count (portal, state, requests) VALUES (NEW.portal, NEW.state, 1)
    ON CONFLICT DO UPDATE SET requests = requests + 1;
END;
