-- 1 for a released request whose account was blocked afterwards: it is not handed on until the
-- account is unblocked. An attempt that was under way then is finished.
ALTER TABLE request ADD COLUMN stopped INTEGER NOT NULL DEFAULT 0 CHECK (stopped = 0 OR stopped = 1);
