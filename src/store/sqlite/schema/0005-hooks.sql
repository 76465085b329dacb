-- Who is told what happens, as the daemon's configuration names them, so that any process that
-- changes something knows what is owed.
CREATE TABLE hook (
    name TEXT PRIMARY KEY,
    -- Patterns: 'account.*', 'request.delivered'.
    events TEXT NOT NULL CHECK (json_valid(events))
) STRICT, WITHOUT ROWID;

-- One telling of one event, written in the transaction of what it tells. AUTOINCREMENT, so that a
-- higher number is always a newer one.
CREATE TABLE hook_call (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    hook TEXT NOT NULL,
    account INTEGER NOT NULL REFERENCES account (n) ON DELETE CASCADE,
    event TEXT NOT NULL,
    payload TEXT NOT NULL CHECK (json_valid(payload)),
    created_at INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state = 'waiting' OR state = 'delivered' OR state = 'failed'),
    -- When the next attempt is due, or when the lease of the one under way is over; NULL while an
    -- earlier call about the same account waits for the same hook.
    due_at INTEGER,
    in_work INTEGER NOT NULL DEFAULT 0 CHECK (in_work = 0 OR in_work = 1),
    attempts INTEGER NOT NULL DEFAULT 0,
    -- Since when it waits: the attempts are counted from there.
    released_at INTEGER NOT NULL,
    settled_at INTEGER,
    last_error TEXT,
    CHECK ((state = 'waiting') = (settled_at IS NULL)),
    CHECK (due_at IS NULL OR state = 'waiting'),
    CHECK (in_work = 0 OR due_at IS NOT NULL)
) STRICT;

CREATE INDEX hook_call_account ON hook_call (account, hook, state, n);
CREATE INDEX hook_call_due ON hook_call (hook, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX hook_call_state ON hook_call (hook, state, n);
CREATE INDEX hook_call_settled ON hook_call (settled_at) WHERE settled_at IS NOT NULL;
