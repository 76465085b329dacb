-- What the hold quota dropped, and the page behind the link offers again.
CREATE TABLE offer (
    n INTEGER PRIMARY KEY,
    ledger INTEGER NOT NULL UNIQUE REFERENCES ledger (n) ON DELETE CASCADE,
    account INTEGER NOT NULL REFERENCES account (n) ON DELETE CASCADE,
    authenticated INTEGER NOT NULL CHECK (authenticated = 0 OR authenticated = 1),
    octets INTEGER NOT NULL,
    -- Until when the content would be kept if it were not offered.
    kept_otherwise_until INTEGER NOT NULL
) STRICT;

CREATE INDEX offer_account ON offer (account, n);
