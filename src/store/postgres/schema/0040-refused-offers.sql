-- "This was not me" refuses offered messages, too. NULL for an offer that waits for the person; otherwise when it was
-- refused, and the end of the time in which the person alone can restore it.
ALTER TABLE offer ADD COLUMN IF NOT EXISTS refused_at bigint;
ALTER TABLE offer ADD COLUMN IF NOT EXISTS restorable_until bigint
    CHECK ((refused_at IS NULL) = (restorable_until IS NULL));
