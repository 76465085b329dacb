-- For each hour since 1970, the most requests that waited in each state, counted up to a bound.
CREATE TABLE queue_depth (
    hour INTEGER PRIMARY KEY,
    held INTEGER NOT NULL,
    released INTEGER NOT NULL,
    failed INTEGER NOT NULL
) STRICT;
