-- Apart.
-- Lists of waiting mail by when it was asked for and by whether it is being sent, and of failed calls of a hook
-- by time, event and account.
CREATE INDEX CONCURRENTLY IF NOT EXISTS letter_asked ON letter (created_at, n) WHERE due_at IS NOT NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS letter_claimed ON letter (due_at, n) WHERE state = 'claimed';
CREATE INDEX CONCURRENTLY IF NOT EXISTS hook_call_failed ON hook_call (hook, created_at, n)
    WHERE state = 'failed';
CREATE INDEX CONCURRENTLY IF NOT EXISTS hook_call_failed_event ON hook_call (hook, event, created_at, n)
    WHERE state = 'failed';
CREATE INDEX CONCURRENTLY IF NOT EXISTS hook_call_failed_account ON hook_call (hook, account, created_at, n)
    WHERE state = 'failed';
