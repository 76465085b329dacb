-- Accounts that nobody verified expire. The row of an expired account stays while entries refer to it: it has
-- `forgotten_at`, a key that no address has, and here the key that it had.
ALTER TABLE account ADD COLUMN former_key TEXT;
-- The last activity of a pending account that housekeeping knows of: it looks at the oldest first.
ALTER TABLE account ADD COLUMN last_active_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX account_former ON account (former_key) WHERE former_key IS NOT NULL;
CREATE INDEX account_pending ON account (last_active_at) WHERE status = 'pending';
-- Rows of forgotten persons that the sweep of earlier programs had not reached. Now only an entry that is deleted
-- takes such a row along.
DELETE FROM account WHERE forgotten_at IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM request WHERE account = account.n);
-- Of some, operators had lifted the block, so that they could get verification mail. Its links go with it.
DELETE FROM letter WHERE account IN (SELECT n FROM account WHERE forgotten_at IS NOT NULL);
UPDATE account SET status = 'blocked' WHERE forgotten_at IS NOT NULL AND status <> 'blocked';
