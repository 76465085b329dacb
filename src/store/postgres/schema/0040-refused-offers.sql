-- "This was not me" refuses offered messages, too. NULL for an offer that waits for the person; otherwise when it was
-- refused, and the end of the time in which the person alone can restore it.
ALTER TABLE offer ADD COLUMN IF NOT EXISTS refused_at bigint;
ALTER TABLE offer ADD COLUMN IF NOT EXISTS restorable_until bigint
    CHECK ((refused_at IS NULL) = (restorable_until IS NULL));
-- Messages that were offered before an objection that nobody has taken back are refused. Of the links of that time the
-- last one to expire protects them, and its token is marked.
UPDATE offer SET
    refused_at = (SELECT refused_at FROM account WHERE account.n = offer.account),
    restorable_until = (
        SELECT max(expires_at) FROM token
        WHERE token.account = offer.account AND token.refused_at IS NOT NULL
    )
WHERE EXISTS (
    SELECT 1 FROM account JOIN ledger ON ledger.n = offer.ledger
    WHERE account.n = offer.account AND account.verified_at IS NULL
        AND ledger.received_at <= account.refused_at
) AND EXISTS (
    SELECT 1 FROM token WHERE token.account = offer.account AND token.refused_at IS NOT NULL
);
UPDATE ledger SET forget_at = (SELECT restorable_until FROM offer WHERE offer.ledger = ledger.n)
WHERE n IN (SELECT offer.ledger FROM offer WHERE offer.refused_at IS NOT NULL)
    AND forget_at < (SELECT restorable_until FROM offer WHERE offer.ledger = ledger.n);
