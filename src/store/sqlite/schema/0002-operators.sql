-- Who may use the pages and the API.
CREATE TABLE operator (
    n INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL CHECK (role IN ('viewer', 'agent', 'admin')),
    -- argon2id, as a PHC string.
    password TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL
) STRICT;

-- What opens the door without the password: a browser's session, or a token for the API.
CREATE TABLE operator_key (
    -- SHA-256; the key itself exists in the browser or the script only.
    hash BLOB PRIMARY KEY CHECK (length(hash) = 32),
    operator INTEGER NOT NULL REFERENCES operator (n) ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('session', 'token')),
    -- May do no more than its operator, whatever stands here.
    role TEXT NOT NULL CHECK (role IN ('viewer', 'agent', 'admin')),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX operator_key_operator ON operator_key (operator);
