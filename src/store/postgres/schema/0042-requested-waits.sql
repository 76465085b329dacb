-- True if the destination asked for the wait (Retry-After), and so is not down. Older programs leave the column out.
ALTER TABLE down_destination ADD COLUMN IF NOT EXISTS requested bigint NOT NULL DEFAULT 0
    CHECK (requested = 0 OR requested = 1);
