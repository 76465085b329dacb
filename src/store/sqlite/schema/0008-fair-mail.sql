-- Verification mail waits in three lanes: 0 for senders whose domain vouches for their message, and for
-- whom an operator asked; 1 for the pages; 2 for all others. A lane serves its flows by turns: a flow
-- is one client of the MTA or of the pages, or one domain where the client is not known, as 64 bits of
-- a hash.
ALTER TABLE letter ADD COLUMN lane INTEGER NOT NULL DEFAULT 2;
ALTER TABLE letter ADD COLUMN flow INTEGER NOT NULL DEFAULT 0;
ALTER TABLE letter ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;

UPDATE letter SET lane = CASE cause WHEN 'operator' THEN 0 WHEN 'mail' THEN 2 ELSE 1 END
WHERE due_at IS NOT NULL;

CREATE INDEX letter_oldest ON letter (lane, due_at, turn, n) WHERE due_at IS NOT NULL;
CREATE INDEX letter_newest ON letter (lane, due_at, turn, n DESC) WHERE due_at IS NOT NULL;
CREATE INDEX letter_turn ON letter (lane, turn) WHERE due_at IS NOT NULL;
CREATE INDEX letter_flow ON letter (flow, lane, turn) WHERE due_at IS NOT NULL;

-- Whether the domain of its sender vouched for the message.
ALTER TABLE request ADD COLUMN authenticated INTEGER NOT NULL DEFAULT 0;

UPDATE request SET authenticated = 1
WHERE state = 'held' AND EXISTS (
    SELECT 1 FROM ledger
    WHERE n = request.ledger AND json_extract(facts, '$.authentication.dmarc') = 'pass'
);
