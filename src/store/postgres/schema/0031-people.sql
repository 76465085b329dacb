-- An account is blocked by an operator, or because the directory deactivated it, or both.
ALTER TABLE account ADD COLUMN operator_block bigint NOT NULL DEFAULT 0
    CHECK (operator_block = 0 OR operator_block = 1);
ALTER TABLE account ADD COLUMN deactivated_at bigint;
UPDATE account SET operator_block = 1 WHERE status = 'blocked';

-- Users of the directory (SCIM), each with the account of its address.
CREATE TABLE directory_user (
    n bigint PRIMARY KEY,
    id bytea NOT NULL UNIQUE CHECK (length(id) = 16),
    account bigint NOT NULL UNIQUE REFERENCES account (n) ON DELETE CASCADE,
    user_name text COLLATE "C" NOT NULL,
    -- In lower case: userName is not case-sensitive.
    user_key text COLLATE "C" NOT NULL UNIQUE,
    external_id text COLLATE "C",
    -- The addresses and roles as the directory gave them.
    attributes text COLLATE "C" NOT NULL CHECK (attributes::json IS NOT NULL),
    version bigint NOT NULL,
    created_at bigint NOT NULL,
    changed_at bigint NOT NULL
);

CREATE INDEX directory_user_external ON directory_user (external_id) WHERE external_id IS NOT NULL;

-- 'scim': the token opens that interface only. NULL: what its role opens.
ALTER TABLE operator_key ADD COLUMN scope text COLLATE "C";

-- The operators' digest, by the time at which it was due: sent, or nothing to say.
CREATE TABLE digest (
    due_at bigint PRIMARY KEY,
    -- Until then another node is at it, or it waits for the next attempt.
    claimed_until bigint NOT NULL,
    attempts bigint NOT NULL,
    settled_at bigint,
    -- Number of people whom our mail could not reach at that time.
    undeliverable bigint NOT NULL DEFAULT 0
);

-- A call can be about no account: then it is in no queue, and due by itself. `entry` is the ledger entry of
-- a dropped message that it is about.
ALTER TABLE hook_call ALTER COLUMN account DROP NOT NULL;
ALTER TABLE hook_call ADD COLUMN entry bigint REFERENCES ledger (n) ON DELETE CASCADE;
CREATE INDEX hook_call_alone ON hook_call (hook, event) WHERE account IS NULL AND state = 'waiting';
CREATE INDEX hook_call_entry ON hook_call (entry) WHERE entry IS NOT NULL;

-- The newest ledger entry that a hook was told of or that is none of its business; NULL before it
-- subscribes to dropped messages. Calls that were left out because too many waited.
ALTER TABLE hook ADD COLUMN told_entry bigint;
ALTER TABLE hook ADD COLUMN left_out bigint NOT NULL DEFAULT 0;
