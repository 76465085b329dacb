-- Addresses are folded in ASCII only: DÖRTE@… was stored under the key dörte@…, and an address with
-- U+212A KELVIN SIGN under that of another person. `lower` of SQLite folds ASCII only. Two keys of
-- before never become one: what is equal without the case of ASCII letters was equal before.
-- Entries of these accounts go with them; other entries keep what they have.
UPDATE ledger SET sender = (
    SELECT lower(a.address) FROM request AS r JOIN account AS a ON a.n = r.account
    WHERE r.ledger = ledger.n
)
WHERE n IN (
    SELECT r.ledger FROM account AS a CROSS JOIN request AS r ON r.account = a.n
    WHERE a.key <> lower(a.address)
);
UPDATE ledger SET sender = (
    SELECT lower(a.address) FROM account AS a WHERE a.key = ledger.sender
)
WHERE n IN (
    SELECT l.n FROM account AS a CROSS JOIN ledger AS l
        ON l.verdict = 'dropped' AND l.domain = a.domain AND l.sender = a.key
    WHERE a.key <> lower(a.address)
);
UPDATE OR IGNORE account SET key = lower(address) WHERE key <> lower(address);
