-- Digests of the parts of a node's configuration, as JSON by the names of its sections: how nodes differ. NULL
-- of a node that has a program of before.
ALTER TABLE node ADD COLUMN sections TEXT;
