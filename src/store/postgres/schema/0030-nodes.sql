-- Nodes that share the store, what each of them does alone, and the last commit of each opening.

-- The last batch of each opening: a commit whose answer was lost is looked up here.
CREATE TABLE committed (
    opening text COLLATE "C" NOT NULL PRIMARY KEY,
    batch bigint NOT NULL,
    written_at bigint NOT NULL
);

CREATE TABLE node (
    -- Kept in the node's data_dir.
    id text COLLATE "C" NOT NULL PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    -- Digest of what must be the same on all nodes.
    configuration text COLLATE "C" NOT NULL,
    -- Milliseconds by which its clock is ahead of the database's.
    clock_offset bigint NOT NULL,
    started_at bigint NOT NULL,
    seen_at bigint NOT NULL
);

-- What one node does for all, until its lease ends.
CREATE TABLE duty (
    name text COLLATE "C" NOT NULL PRIMARY KEY,
    holder text COLLATE "C" NOT NULL,
    held_until bigint NOT NULL
);
