-- Numbers of rows come from one row, for all tables: each is given once, in the order of commits, and
-- never again, so that what somebody still has in hand of a row that is gone never names another.
CREATE TABLE writer (
    n INTEGER PRIMARY KEY CHECK (n = 1),
    next_number INTEGER NOT NULL CHECK (next_number > 0)
) STRICT;

INSERT INTO writer (n, next_number)
    SELECT 1, 1 + max(
        coalesce((SELECT max(n) FROM account), 0),
        coalesce((SELECT max(n) FROM ledger), 0),
        coalesce((SELECT max(n) FROM letter), 0),
        -- Claims outlive their mail.
        coalesce((SELECT max(letter) FROM letter_claim), 0),
        coalesce((SELECT max(n) FROM event), 0),
        coalesce((SELECT max(n) FROM operator), 0),
        coalesce((SELECT max(n) FROM answer), 0),
        coalesce((SELECT max(n) FROM offer), 0),
        coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'hook_call'), 0)
    );
