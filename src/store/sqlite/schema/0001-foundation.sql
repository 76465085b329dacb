-- The first schema. Ids are ULIDs of 16 octets; `n` is what rows refer to each other by, because it
-- is short and grows with time. Times are milliseconds since 1970 in UTC. Words (states, verdicts)
-- are compared one by one and not with IN, for which SQLite would build a table at every insert.

CREATE TABLE access_revision (
    number INTEGER PRIMARY KEY CHECK (number >= 1),
    at INTEGER NOT NULL,
    by TEXT NOT NULL,
    origin TEXT NOT NULL,
    settings TEXT NOT NULL CHECK (json_valid(settings))
) STRICT;

CREATE TABLE account (
    n INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    -- Local part in lower case and domain in ASCII: what tells accounts apart.
    key TEXT NOT NULL UNIQUE,
    address TEXT NOT NULL,
    domain TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind = 'internal' OR kind = 'external'),
    status TEXT NOT NULL CHECK (status = 'pending' OR status = 'active' OR status = 'blocked'),
    -- Whether the rule that made the account wanted a proof.
    proof_needed INTEGER NOT NULL CHECK (proof_needed = 0 OR proof_needed = 1),
    verified_by TEXT,
    verified_at INTEGER,
    groups TEXT NOT NULL CHECK (json_valid(groups)),
    takes_automatic INTEGER NOT NULL DEFAULT 0,
    undeliverable INTEGER NOT NULL DEFAULT 0,
    -- Until then the address gets no mail of ours: "This was not me".
    quiet_until INTEGER,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    CHECK ((verified_by IS NULL) = (verified_at IS NULL)),
    -- Nobody is active without the proof that was asked for.
    CHECK (status <> 'active' OR proof_needed = 0 OR verified_at IS NOT NULL),
    CHECK (status <> 'pending' OR (proof_needed = 1 AND verified_at IS NULL))
) STRICT;

-- The rules by number. A ledger entry names its rule, and thereby its one reason.
CREATE TABLE rule (
    number INTEGER PRIMARY KEY,
    reason TEXT NOT NULL UNIQUE
) STRICT;

INSERT INTO rule (number, reason) VALUES
    (1, 'duplicate'), (2, 'bounce'), (3, 'loop'), (4, 'sender_unusable'), (5, 'account_blocked'),
    (6, 'automatic'), (7, 'bulk'), (8, 'authentication_failed'), (9, 'account_active'),
    (10, 'account_pending'), (11, 'internal_account_created'), (12, 'external_accounts_disabled'),
    (13, 'domain_not_allowed'), (14, 'external_account_created'), (15, 'hold_quota'),
    (16, 'confirmation');

CREATE TABLE ledger (
    n INTEGER PRIMARY KEY,
    -- A request has the id of its entry.
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    received_at INTEGER NOT NULL,
    -- None for what came to the address to which reports return.
    portal TEXT,
    recipient TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict = 'accepted' OR verdict = 'held' OR verdict = 'dropped'),
    rule INTEGER NOT NULL REFERENCES rule (number),
    revision INTEGER NOT NULL,
    sender TEXT,
    domain TEXT,
    -- The entry that this one repeats.
    original INTEGER REFERENCES ledger (n) ON DELETE CASCADE,
    -- The entry under which the content is kept, where it is not this one.
    message INTEGER REFERENCES ledger (n) ON DELETE SET NULL,
    -- When the content of a dropped message is forgotten.
    forget_at INTEGER,
    -- 64 bits of SHA-256 over the Message-ID, and over the portal and the fingerprint.
    message_key INTEGER,
    copy_key INTEGER NOT NULL,
    facts TEXT NOT NULL,
    envelope TEXT NOT NULL,
    circumstances TEXT,
    standing TEXT NOT NULL,
    CHECK ((rule = 1) = (original IS NOT NULL)),
    CHECK (original IS NULL OR message IS NULL)
) STRICT;

CREATE INDEX ledger_message_key ON ledger (message_key, copy_key)
    WHERE message_key IS NOT NULL AND original IS NULL;
CREATE INDEX ledger_original ON ledger (original) WHERE original IS NOT NULL;
CREATE INDEX ledger_message ON ledger (message) WHERE message IS NOT NULL;
CREATE INDEX ledger_dropped ON ledger (domain, sender, received_at) WHERE verdict = 'dropped';
-- For counting over a time, without reading the rows.
CREATE INDEX ledger_time ON ledger (received_at, verdict, rule, portal);
CREATE INDEX ledger_forget ON ledger (forget_at) WHERE forget_at IS NOT NULL;

-- Messages as they came. Apart, so that nothing else ever reads past them.
CREATE TABLE content (
    ledger INTEGER PRIMARY KEY REFERENCES ledger (n) ON DELETE CASCADE,
    raw BLOB NOT NULL
) STRICT;

CREATE TABLE request (
    ledger INTEGER PRIMARY KEY REFERENCES ledger (n) ON DELETE CASCADE,
    account INTEGER NOT NULL REFERENCES account (n),
    portal TEXT NOT NULL,
    size INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (
        state = 'held' OR state = 'released' OR state = 'delivered'
        OR state = 'failed' OR state = 'discarded' OR state = 'expired'
    ),
    -- Held: when it expires. Released: when the next attempt is due, or when the lease of the one
    -- under way is over; NULL while an earlier one of the account waits for the same portal.
    due_at INTEGER,
    in_work INTEGER NOT NULL DEFAULT 0 CHECK (in_work = 0 OR in_work = 1),
    attempts INTEGER NOT NULL DEFAULT 0,
    released_at INTEGER,
    -- 'rule', 'proof' or 'operator:NAME'.
    released_by TEXT,
    settled_at INTEGER,
    reminded INTEGER NOT NULL DEFAULT 0 CHECK (reminded = 0 OR reminded = 1),
    -- Whether this request still wants its content.
    kept INTEGER NOT NULL DEFAULT 1 CHECK (kept = 0 OR kept = 1),
    last_error TEXT,
    CHECK ((released_at IS NULL) = (released_by IS NULL)),
    CHECK (state <> 'held' OR (due_at IS NOT NULL AND released_at IS NULL AND settled_at IS NULL)),
    CHECK (state <> 'released' OR (released_at IS NOT NULL AND settled_at IS NULL AND kept = 1)),
    CHECK ((state <> 'delivered' AND state <> 'failed') OR released_at IS NOT NULL),
    CHECK (state = 'held' OR state = 'released' OR (settled_at IS NOT NULL AND due_at IS NULL)),
    CHECK (in_work = 0 OR (state = 'released' AND due_at IS NOT NULL))
) STRICT;

-- An account's requests; its held ones; its queue for a portal, in the order of release.
CREATE INDEX request_account ON request (account, state, portal, released_at);
CREATE INDEX request_held ON request (reminded, due_at, portal) WHERE state = 'held';
CREATE INDEX request_due ON request (portal, due_at) WHERE state = 'released';
CREATE INDEX request_kept ON request (state, settled_at, portal)
    WHERE settled_at IS NOT NULL AND kept = 1;

-- The picture in domain/request.rs, for everyone who has this database in hand.
CREATE TRIGGER request_edges BEFORE UPDATE OF state ON request
WHEN OLD.state <> NEW.state AND NOT (
    (OLD.state = 'held' AND (NEW.state = 'released' OR NEW.state = 'discarded' OR NEW.state = 'expired'))
    OR (OLD.state = 'released' AND (NEW.state = 'delivered' OR NEW.state = 'failed'))
    OR (OLD.state = 'failed' AND (NEW.state = 'released' OR NEW.state = 'discarded'))
    OR ((OLD.state = 'discarded' OR OLD.state = 'expired') AND NEW.state = 'released')
)
BEGIN
    SELECT RAISE(ABORT, 'a request cannot change its state in this way');
END;

-- What is held leaves by a proof of its account or by an operator's hand.
CREATE TRIGGER request_release BEFORE UPDATE OF state ON request
WHEN NEW.state = 'released' AND OLD.state <> 'released' AND substr(NEW.released_by, 1, 9) <> 'operator:'
    AND NOT EXISTS (SELECT 1 FROM account WHERE n = NEW.account AND status = 'active')
BEGIN
    SELECT RAISE(ABORT, 'a request cannot be released before its account is proved');
END;

CREATE TABLE letter (
    n INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    account INTEGER NOT NULL REFERENCES account (n) ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind = 'verification' OR kind = 'reminder' OR kind = 'already_registered'),
    cause TEXT NOT NULL,
    portal TEXT,
    in_reply_to TEXT,
    state TEXT NOT NULL CHECK (
        state = 'waiting' OR state = 'claimed' OR state = 'sent' OR state = 'refused'
        OR state = 'cancelled'
    ),
    created_at INTEGER NOT NULL,
    -- Waiting: when it may be sent. Claimed: when it counts as never sent.
    due_at INTEGER,
    claimed_at INTEGER,
    settled_at INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    last_error TEXT,
    CHECK ((state = 'waiting' OR state = 'claimed') = (due_at IS NOT NULL)),
    CHECK ((due_at IS NULL) = (settled_at IS NOT NULL))
) STRICT;

-- At most one letter to an account is on its way.
CREATE UNIQUE INDEX letter_outstanding ON letter (account) WHERE due_at IS NOT NULL;
CREATE INDEX letter_account ON letter (account);
CREATE INDEX letter_due ON letter (due_at) WHERE due_at IS NOT NULL;

-- The limits of letters: each claim of the last day by mailbox, which is the key of an address
-- without its subaddress, and counts by minute for a domain, or for all where the domain is empty.
CREATE TABLE letter_claim (
    mailbox TEXT NOT NULL,
    at INTEGER NOT NULL,
    letter INTEGER NOT NULL,
    PRIMARY KEY (mailbox, at, letter)
) STRICT, WITHOUT ROWID;

CREATE TABLE letter_minute (
    domain TEXT NOT NULL,
    minute INTEGER NOT NULL,
    letters INTEGER NOT NULL CHECK (letters >= 0),
    PRIMARY KEY (domain, minute)
) STRICT, WITHOUT ROWID;

CREATE TABLE token (
    -- SHA-256; the token itself exists in the mail only.
    hash BLOB PRIMARY KEY CHECK (length(hash) = 32),
    account INTEGER NOT NULL REFERENCES account (n) ON DELETE CASCADE,
    letter INTEGER NOT NULL REFERENCES letter (n) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL,
    used_at INTEGER,
    refused_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX token_account ON token (account);
CREATE INDEX token_letter ON token (letter);
CREATE INDEX token_expires ON token (expires_at);

-- What happened since, under the names that the log uses.
CREATE TABLE event (
    n INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    name TEXT NOT NULL,
    ledger INTEGER REFERENCES ledger (n) ON DELETE CASCADE,
    account INTEGER REFERENCES account (n) ON DELETE CASCADE,
    -- 'daemon', 'person' or 'operator:NAME'.
    actor TEXT NOT NULL,
    detail TEXT
) STRICT;

CREATE INDEX event_ledger ON event (ledger) WHERE ledger IS NOT NULL;
CREATE INDEX event_account ON event (account, name) WHERE account IS NOT NULL;
CREATE INDEX event_operator ON event (n) WHERE actor > 'operator:' AND actor < 'operator;';

CREATE TABLE paused_destination (
    destination TEXT PRIMARY KEY,
    at INTEGER NOT NULL,
    by TEXT NOT NULL
) STRICT, WITHOUT ROWID;
