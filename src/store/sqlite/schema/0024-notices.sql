-- Mail to a sender whose domain is not taken, where the access settings say that they are told. They
-- have no account. Kept for two days: nobody is told twice in one.
CREATE TABLE notice (
    n INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    ledger INTEGER REFERENCES ledger (n) ON DELETE SET NULL,
    -- The key of the address.
    sender TEXT NOT NULL,
    address TEXT NOT NULL,
    -- All spellings of the mailbox; known when it is claimed.
    mailbox TEXT,
    portal TEXT NOT NULL,
    reason TEXT NOT NULL,
    in_reply_to TEXT,
    created_at INTEGER NOT NULL,
    -- When it may be sent; NULL once it was claimed for the last time.
    due_at INTEGER,
    claimed_at INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX notice_due ON notice (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX notice_sender ON notice (sender, created_at);
CREATE INDEX notice_mailbox ON notice (mailbox, claimed_at) WHERE mailbox IS NOT NULL;
CREATE INDEX notice_created ON notice (created_at);
CREATE INDEX notice_ledger ON notice (ledger) WHERE ledger IS NOT NULL;
