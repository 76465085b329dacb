-- The part that this place had in a transfer of the store: closed as its source, with the next number that was
-- taken from `writer`, or not yet complete as its target.
CREATE TABLE moved (
    n INTEGER PRIMARY KEY CHECK (n = 1),
    role TEXT NOT NULL CHECK (role = 'source' OR role = 'target'),
    -- The other place.
    place TEXT NOT NULL,
    at INTEGER NOT NULL,
    next_number INTEGER
) STRICT;
