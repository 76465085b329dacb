-- An account is blocked by an operator, or because the directory deactivated it, or both.
ALTER TABLE account ADD COLUMN operator_block INTEGER NOT NULL DEFAULT 0
    CHECK (operator_block = 0 OR operator_block = 1);
ALTER TABLE account ADD COLUMN deactivated_at INTEGER;
UPDATE account SET operator_block = 1 WHERE status = 'blocked';

-- Users of the directory (SCIM), each with the account of its address.
CREATE TABLE directory_user (
    n INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    account INTEGER NOT NULL UNIQUE REFERENCES account (n) ON DELETE CASCADE,
    user_name TEXT NOT NULL,
    -- In lower case: userName is not case-sensitive.
    user_key TEXT NOT NULL UNIQUE,
    external_id TEXT,
    -- The addresses and roles as the directory gave them.
    attributes TEXT NOT NULL CHECK (json_valid(attributes)),
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;

CREATE INDEX directory_user_external ON directory_user (external_id) WHERE external_id IS NOT NULL;

-- 'scim': the token opens that interface only. NULL: what its role opens.
ALTER TABLE operator_key ADD COLUMN scope TEXT;

-- The operators' digest, by the time at which it was due: sent, or nothing to say.
CREATE TABLE digest (
    due_at INTEGER PRIMARY KEY,
    -- Until then another node is at it, or it waits for the next attempt.
    claimed_until INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    settled_at INTEGER,
    -- Number of people whom our mail could not reach at that time.
    undeliverable INTEGER NOT NULL DEFAULT 0
) STRICT;

-- A call can be about no account: then it is in no queue, and due by itself. `entry` is the ledger entry of
-- a dropped message that it is about.
CREATE TABLE hook_call_anew (
    n INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    hook TEXT NOT NULL,
    account INTEGER REFERENCES account (n) ON DELETE CASCADE,
    event TEXT NOT NULL,
    payload TEXT NOT NULL CHECK (json_valid(payload)),
    created_at INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state = 'waiting' OR state = 'delivered' OR state = 'failed'),
    due_at INTEGER,
    in_work INTEGER NOT NULL DEFAULT 0 CHECK (in_work = 0 OR in_work = 1),
    attempts INTEGER NOT NULL DEFAULT 0,
    released_at INTEGER NOT NULL,
    settled_at INTEGER,
    last_error TEXT,
    claim INTEGER,
    holder TEXT,
    entry INTEGER REFERENCES ledger (n) ON DELETE CASCADE,
    CHECK ((state = 'waiting') = (settled_at IS NULL)),
    CHECK (due_at IS NULL OR state = 'waiting'),
    CHECK (in_work = 0 OR due_at IS NOT NULL)
) STRICT;

INSERT INTO hook_call_anew (n, id, hook, account, event, payload, created_at, state, due_at, in_work,
        attempts, released_at, settled_at, last_error, claim, holder)
    SELECT n, id, hook, account, event, payload, created_at, state, due_at, in_work,
        attempts, released_at, settled_at, last_error, claim, holder
    FROM hook_call;
DROP TABLE hook_call;
ALTER TABLE hook_call_anew RENAME TO hook_call;

CREATE INDEX hook_call_account ON hook_call (account, hook, state, n);
CREATE INDEX hook_call_due ON hook_call (hook, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX hook_call_state ON hook_call (hook, state, n);
CREATE INDEX hook_call_settled ON hook_call (settled_at) WHERE settled_at IS NOT NULL;
CREATE INDEX hook_call_alone ON hook_call (hook, event) WHERE account IS NULL AND state = 'waiting';
CREATE INDEX hook_call_entry ON hook_call (entry) WHERE entry IS NOT NULL;

-- The newest ledger entry that a hook was told of or that is none of its business; NULL before it
-- subscribes to dropped messages. Calls that were left out because too many waited.
ALTER TABLE hook ADD COLUMN told_entry INTEGER;
ALTER TABLE hook ADD COLUMN left_out INTEGER NOT NULL DEFAULT 0;
