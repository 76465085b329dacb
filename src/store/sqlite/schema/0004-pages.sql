-- What the operators' pages need so that none of them counts, scans or sorts a table that grows.

-- Entries by day (UTC), portal ('' for what came for ourselves), verdict and rule.
CREATE TABLE day_count (
    day INTEGER NOT NULL,
    portal TEXT NOT NULL,
    verdict TEXT NOT NULL,
    rule INTEGER NOT NULL,
    messages INTEGER NOT NULL CHECK (messages >= 0),
    PRIMARY KEY (day, portal, verdict, rule)
) STRICT, WITHOUT ROWID;

-- Entries that the access settings dropped, by day and domain.
CREATE TABLE shut_out (
    day INTEGER NOT NULL,
    domain TEXT NOT NULL,
    messages INTEGER NOT NULL CHECK (messages >= 0),
    PRIMARY KEY (day, domain)
) STRICT, WITHOUT ROWID;

INSERT INTO day_count
    SELECT received_at / 86400000 * 86400000 AS day, coalesce(portal, ''), verdict, rule, count(*)
    FROM ledger GROUP BY 1, 2, 3, 4;

INSERT INTO shut_out
    SELECT received_at / 86400000 * 86400000 AS day, domain, count(*)
    FROM ledger WHERE (rule = 12 OR rule = 13) AND domain IS NOT NULL GROUP BY 1, 2;

CREATE TRIGGER ledger_counted AFTER INSERT ON ledger
BEGIN
    INSERT INTO day_count (day, portal, verdict, rule, messages)
    VALUES (NEW.received_at / 86400000 * 86400000, coalesce(NEW.portal, ''), NEW.verdict, NEW.rule, 1)
    ON CONFLICT DO UPDATE SET messages = messages + 1;
END;

CREATE TRIGGER ledger_uncounted AFTER DELETE ON ledger
BEGIN
    UPDATE day_count SET messages = messages - 1
    WHERE day = OLD.received_at / 86400000 * 86400000 AND portal = coalesce(OLD.portal, '')
        AND verdict = OLD.verdict AND rule = OLD.rule;
    DELETE FROM day_count
    WHERE day = OLD.received_at / 86400000 * 86400000 AND portal = coalesce(OLD.portal, '')
        AND verdict = OLD.verdict AND rule = OLD.rule AND messages = 0;
END;

CREATE TRIGGER ledger_recounted AFTER UPDATE OF received_at, portal, verdict, rule ON ledger
BEGIN
    UPDATE day_count SET messages = messages - 1
    WHERE day = OLD.received_at / 86400000 * 86400000 AND portal = coalesce(OLD.portal, '')
        AND verdict = OLD.verdict AND rule = OLD.rule;
    DELETE FROM day_count
    WHERE day = OLD.received_at / 86400000 * 86400000 AND portal = coalesce(OLD.portal, '')
        AND verdict = OLD.verdict AND rule = OLD.rule AND messages = 0;
    INSERT INTO day_count (day, portal, verdict, rule, messages)
    VALUES (NEW.received_at / 86400000 * 86400000, coalesce(NEW.portal, ''), NEW.verdict, NEW.rule, 1)
    ON CONFLICT DO UPDATE SET messages = messages + 1;
END;

CREATE TRIGGER ledger_shut_out AFTER INSERT ON ledger
WHEN (NEW.rule = 12 OR NEW.rule = 13) AND NEW.domain IS NOT NULL
BEGIN
    INSERT INTO shut_out (day, domain, messages)
    VALUES (NEW.received_at / 86400000 * 86400000, NEW.domain, 1)
    ON CONFLICT DO UPDATE SET messages = messages + 1;
END;

CREATE TRIGGER ledger_shut_out_gone AFTER DELETE ON ledger
WHEN (OLD.rule = 12 OR OLD.rule = 13) AND OLD.domain IS NOT NULL
BEGIN
    UPDATE shut_out SET messages = messages - 1
    WHERE day = OLD.received_at / 86400000 * 86400000 AND domain = OLD.domain;
    DELETE FROM shut_out
    WHERE day = OLD.received_at / 86400000 * 86400000 AND domain = OLD.domain AND messages = 0;
END;

-- A recovered entry was shut out before; no entry becomes so afterwards. One that is forgotten may
-- lose its domain.
CREATE TRIGGER ledger_let_in AFTER UPDATE OF received_at, rule, domain ON ledger
WHEN (OLD.rule = 12 OR OLD.rule = 13) AND OLD.domain IS NOT NULL
BEGIN
    UPDATE shut_out SET messages = messages - 1
    WHERE day = OLD.received_at / 86400000 * 86400000 AND domain = OLD.domain;
    DELETE FROM shut_out
    WHERE day = OLD.received_at / 86400000 * 86400000 AND domain = OLD.domain AND messages = 0;
END;

CREATE TRIGGER ledger_shut_out_anew AFTER UPDATE OF received_at, rule, domain ON ledger
WHEN (NEW.rule = 12 OR NEW.rule = 13) AND NEW.domain IS NOT NULL
BEGIN
    INSERT INTO shut_out (day, domain, messages)
    VALUES (NEW.received_at / 86400000 * 86400000, NEW.domain, 1)
    ON CONFLICT DO UPDATE SET messages = messages + 1;
END;

-- With the rule, so that the people of a domain are counted by the index alone.
DROP INDEX ledger_dropped;
CREATE INDEX ledger_dropped ON ledger (domain, sender, received_at, rule) WHERE verdict = 'dropped';

-- What waits for a hand, newest first. What is released passes through too fast to be worth it.
CREATE INDEX request_open ON request (state, ledger, portal)
    WHERE state = 'held' OR state = 'failed';

-- Accounts in the order of their addresses, narrowed.
CREATE INDEX account_kind ON account (kind, key, status);
CREATE INDEX account_status ON account (status, key, kind);
CREATE INDEX account_domain ON account (domain, key);
-- How long people took to prove their address.
CREATE INDEX account_verified ON account (verified_at, created_at, verified_by)
    WHERE verified_at IS NOT NULL;
