-- The content of dropped messages, as far as no request wants it: whose it is and how large, so that a
-- flood erases its own. `swarm` is 1 for what came, when there was much already, in the name of a
-- domain that nothing was known of. `sender` is the registered domain, with a '?' before it where no
-- domain vouched for the message, and '?' alone where there was no usable sender.
CREATE TABLE dropped_content (
    ledger INTEGER PRIMARY KEY REFERENCES content (ledger) ON DELETE CASCADE,
    swarm INTEGER NOT NULL CHECK (swarm = 0 OR swarm = 1),
    sender TEXT NOT NULL,
    octets INTEGER NOT NULL
) STRICT;

CREATE INDEX dropped_content_sender ON dropped_content (swarm, sender, ledger);
CREATE INDEX dropped_content_swarm ON dropped_content (swarm, ledger);

-- What each sender has, and all together.
CREATE TABLE dropped_sender (
    swarm INTEGER NOT NULL,
    sender TEXT NOT NULL,
    octets INTEGER NOT NULL CHECK (octets >= 0),
    messages INTEGER NOT NULL CHECK (messages >= 0),
    PRIMARY KEY (swarm, sender)
) STRICT, WITHOUT ROWID;

CREATE INDEX dropped_sender_octets ON dropped_sender (swarm, octets);

CREATE TABLE dropped_total (
    swarm INTEGER PRIMARY KEY,
    octets INTEGER NOT NULL CHECK (octets >= 0)
) STRICT;

INSERT INTO dropped_total (swarm, octets) VALUES (0, 0), (1, 0);

CREATE TRIGGER dropped_content_counted AFTER INSERT ON dropped_content
BEGIN
    INSERT INTO dropped_sender (swarm, sender, octets, messages)
    VALUES (NEW.swarm, NEW.sender, NEW.octets, 1)
    ON CONFLICT DO UPDATE SET octets = octets + NEW.octets, messages = messages + 1;
    UPDATE dropped_total SET octets = octets + NEW.octets WHERE swarm = NEW.swarm;
END;

CREATE TRIGGER dropped_content_uncounted AFTER DELETE ON dropped_content
BEGIN
    UPDATE dropped_sender SET octets = octets - OLD.octets, messages = messages - 1
    WHERE swarm = OLD.swarm AND sender = OLD.sender;
    DELETE FROM dropped_sender
    WHERE swarm = OLD.swarm AND sender = OLD.sender AND messages = 0;
    UPDATE dropped_total SET octets = octets - OLD.octets WHERE swarm = OLD.swarm;
END;

INSERT INTO dropped_content (ledger, swarm, sender, octets)
    SELECT c.ledger, 0, '?' || coalesce(l.domain, ''), length(c.raw)
    FROM (
        SELECT DISTINCT coalesce(message, n) AS carrier FROM ledger WHERE forget_at IS NOT NULL
    ) AS wanted
    JOIN content AS c ON c.ledger = wanted.carrier
    JOIN ledger AS l ON l.n = wanted.carrier
    WHERE NOT EXISTS (
        SELECT 1 FROM ledger AS other JOIN request AS r ON r.ledger = other.n
        WHERE (other.n = c.ledger OR other.message = c.ledger) AND r.kept = 1
    );
