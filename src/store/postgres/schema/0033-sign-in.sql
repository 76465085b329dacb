-- Operators who sign in at the organisation's provider: known by issuer and subject, never by a name or an
-- address. Their password is empty, which no password matches.
ALTER TABLE operator ADD COLUMN issuer text COLLATE "C";
ALTER TABLE operator ADD COLUMN subject text COLLATE "C";
ALTER TABLE operator ADD COLUMN signed_in_at bigint;
CREATE UNIQUE INDEX operator_identity ON operator (issuer, subject) WHERE issuer IS NOT NULL;

-- The second factor beside a password: the key that the authenticator has, too; it counts once a code of it
-- was typed. The period of the last code that was used: none counts twice.
ALTER TABLE operator ADD COLUMN totp_key bytea;
ALTER TABLE operator ADD COLUMN totp_confirmed_at bigint;
ALTER TABLE operator ADD COLUMN totp_last_period bigint;

-- Codes for when the authenticator is lost. A row is used once.
CREATE TABLE recovery_code (
    operator bigint NOT NULL REFERENCES operator (n) ON DELETE CASCADE,
    -- SHA-256; the code itself was shown once.
    hash bytea NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (operator, hash)
);

-- Attempts to sign in that are under way. A row is used once.
CREATE TABLE sign_in_attempt (
    -- SHA-256 of the secret that only the browser holds.
    hash bytea PRIMARY KEY CHECK (length(hash) = 32),
    -- The operator whose password was right, where a code is still to come.
    operator bigint REFERENCES operator (n) ON DELETE CASCADE,
    -- JSON: what follows a success.
    purpose text COLLATE "C" NOT NULL,
    expires_at bigint NOT NULL
);
CREATE INDEX sign_in_attempt_expiry ON sign_in_attempt (expires_at);
CREATE INDEX sign_in_attempt_operator ON sign_in_attempt (operator) WHERE operator IS NOT NULL;
