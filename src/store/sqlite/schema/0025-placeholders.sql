-- 1 for an account that stands only for requests that an operator released whatever the reason: while it
-- is pending, mail of its address is decided as that of a new sender.
ALTER TABLE account ADD COLUMN placeholder INTEGER NOT NULL DEFAULT 0
    CHECK (placeholder = 0 OR placeholder = 1);
