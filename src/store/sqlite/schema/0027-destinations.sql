-- Destinations and hooks that are down: every attempt fails for a reason of their own. The daemon's
-- workers write the rows; an operator who wants to try at once removes one.
CREATE TABLE down_destination (
    destination TEXT PRIMARY KEY,
    since INTEGER NOT NULL,
    -- When the next message is tried.
    next_try_at INTEGER NOT NULL,
    last_error TEXT NOT NULL
) STRICT, WITHOUT ROWID;
