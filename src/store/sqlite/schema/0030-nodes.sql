-- Nodes that share the store, what each of them does alone, and the last commit of each opening.

-- The last batch of each opening: a commit whose answer was lost is looked up here.
CREATE TABLE committed (
    opening TEXT NOT NULL PRIMARY KEY,
    batch INTEGER NOT NULL,
    written_at INTEGER NOT NULL
) STRICT;

CREATE TABLE node (
    -- Kept in the node's data_dir.
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    -- Digest of what must be the same on all nodes.
    configuration TEXT NOT NULL,
    -- Milliseconds by which its clock is ahead of the database's.
    clock_offset INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL
) STRICT;

-- What one node does for all, until its lease ends.
CREATE TABLE duty (
    name TEXT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    held_until INTEGER NOT NULL
) STRICT;
