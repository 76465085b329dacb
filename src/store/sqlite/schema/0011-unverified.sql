-- The portals that let in an account whose address was never verified: for these it exists. Kept
-- apart from the requests, which are forgotten after a time.
CREATE TABLE let_in (
    account INTEGER NOT NULL REFERENCES account (n) ON DELETE CASCADE,
    portal TEXT NOT NULL,
    PRIMARY KEY (account, portal)
) STRICT, WITHOUT ROWID;

INSERT INTO let_in (account, portal)
    SELECT DISTINCT r.account, r.portal
    FROM account AS a CROSS JOIN request AS r ON r.account = a.n
    WHERE a.proof_needed = 0 AND a.verified_at IS NULL AND r.released_by = 'rule';

-- What is held leaves by a verification of its account or by an operator's hand. An active account
-- can hold requests: for portals that have it verified first.
DROP TRIGGER request_release;
CREATE TRIGGER request_release BEFORE UPDATE OF state ON request
WHEN NEW.state = 'released' AND OLD.state <> 'released' AND OLD.state <> 'failed'
    AND substr(NEW.released_by, 1, 9) <> 'operator:'
    AND NOT EXISTS (
        SELECT 1 FROM account
        WHERE n = NEW.account AND status = 'active' AND verified_at IS NOT NULL
    )
BEGIN
    SELECT RAISE(ABORT, 'a request cannot be released before its account is verified');
END;
