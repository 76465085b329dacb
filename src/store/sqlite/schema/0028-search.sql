-- What `find` searches. A worker fills it beside the way of the mail: each word of the sender's address and
-- name and of the subject once, with the entries that have it, and every ending of the word, so that a part
-- of it is found as the beginning of an ending.
CREATE TABLE search_word (
    number INTEGER PRIMARY KEY,
    word TEXT NOT NULL UNIQUE,
    -- Entries that have it. The worker removes a word that none has any more.
    messages INTEGER NOT NULL CHECK (messages >= 0)
) STRICT;

CREATE INDEX search_word_unused ON search_word (messages) WHERE messages = 0;

CREATE TABLE search_ending (
    ending TEXT NOT NULL,
    word INTEGER NOT NULL,
    PRIMARY KEY (ending, word)
) STRICT, WITHOUT ROWID;

CREATE TABLE search_entry (
    word INTEGER NOT NULL,
    ledger INTEGER NOT NULL,
    PRIMARY KEY (word, ledger)
) STRICT, WITHOUT ROWID;

CREATE INDEX search_entry_ledger ON search_entry (ledger);

-- The entry up to which all are indexed.
CREATE TABLE search_progress (
    ledger INTEGER NOT NULL
) STRICT;

INSERT INTO search_progress (ledger) VALUES (0);

-- Entries that changed since they were indexed.
CREATE TABLE search_due (
    ledger INTEGER PRIMARY KEY
) STRICT;

-- Nothing of an entry can be found once it is erased, or rewritten under a pseudonym.
CREATE TRIGGER search_erased AFTER DELETE ON ledger
BEGIN
    DELETE FROM search_entry WHERE ledger = OLD.n;
    DELETE FROM search_due WHERE ledger = OLD.n;
END;

CREATE TRIGGER search_rewritten AFTER UPDATE OF facts ON ledger
BEGIN
    DELETE FROM search_entry WHERE ledger = OLD.n;
    INSERT INTO search_due (ledger) VALUES (OLD.n) ON CONFLICT DO NOTHING;
END;

CREATE TRIGGER search_entry_erased AFTER DELETE ON search_entry
BEGIN
    UPDATE search_word SET messages = messages - 1 WHERE number = OLD.word;
END;
