-- The key that links to messages are signed with, from the first link on. Deleting it ends all links.
CREATE TABLE link_key (
    n INTEGER PRIMARY KEY CHECK (n = 1),
    key BLOB NOT NULL CHECK (length(key) = 32)
) STRICT;
