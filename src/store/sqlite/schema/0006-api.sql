-- From where an operator did it: 'command line', 'page' or 'api'.
ALTER TABLE event ADD COLUMN origin TEXT;

-- What a token is for, in an operator's words.
ALTER TABLE operator_key ADD COLUMN note TEXT;

-- What the API answered to a request with an Idempotency-Key, for when it comes again.
CREATE TABLE answer (
    n INTEGER PRIMARY KEY,
    operator INTEGER NOT NULL REFERENCES operator (n) ON DELETE CASCADE,
    key TEXT NOT NULL,
    -- SHA-256 of the request.
    request BLOB NOT NULL CHECK (length(request) = 32),
    -- All three NULL while the request is being worked on.
    status INTEGER,
    head TEXT CHECK (json_valid(head)),
    body BLOB,
    expires_at INTEGER NOT NULL,
    UNIQUE (operator, key),
    CHECK ((status IS NULL) = (head IS NULL) AND (status IS NULL) = (body IS NULL))
) STRICT;

CREATE INDEX answer_expires ON answer (expires_at);
