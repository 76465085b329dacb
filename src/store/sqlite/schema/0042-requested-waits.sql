-- True if the destination asked for the wait (Retry-After), and so is not down.
ALTER TABLE down_destination ADD COLUMN requested INTEGER NOT NULL DEFAULT 0
    CHECK (requested = 0 OR requested = 1);
