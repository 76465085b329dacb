-- 1 for a dropped message that an operator released under an address of their choice: its sender could
-- not be read.
ALTER TABLE request ADD COLUMN sender_named INTEGER NOT NULL DEFAULT 0
    CHECK (sender_named = 0 OR sender_named = 1);
