-- Apart.
-- Accounts that nobody verified expire. The row of an expired account stays while entries refer to it: it has
-- `forgotten_at`, a key that no address has, and in `former_key` the key that it had. `last_active_at` is the last
-- activity of a pending account that housekeeping knows of: it looks at the oldest first.
ALTER TABLE account ADD COLUMN IF NOT EXISTS former_key text COLLATE "C",
    ADD COLUMN IF NOT EXISTS last_active_at bigint NOT NULL DEFAULT 0;
CREATE INDEX CONCURRENTLY IF NOT EXISTS account_former ON account (former_key) WHERE former_key IS NOT NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS account_pending ON account (last_active_at) WHERE status = 'pending';
-- Rows of forgotten persons that the sweep of earlier programs had not reached. Now only an entry that is deleted
-- takes such a row along.
DELETE FROM account WHERE n IN (
    SELECT n FROM account AS a WHERE forgotten_at IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM request WHERE account = a.n)
    LIMIT 100
);
-- Of some, operators had lifted the block, so that they could get verification mail. Its links go with it.
DELETE FROM letter WHERE n IN (
    SELECT l.n FROM letter AS l JOIN account AS a ON a.n = l.account WHERE a.forgotten_at IS NOT NULL LIMIT 100
);
UPDATE account SET status = 'blocked' WHERE n IN (
    SELECT n FROM account WHERE forgotten_at IS NOT NULL AND status <> 'blocked' LIMIT 100
);
