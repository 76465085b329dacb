-- Claims of a letter, whatever mailbox they were counted for; people who want no mail, by domain.
CREATE INDEX letter_claim_letter ON letter_claim (letter);
CREATE INDEX account_quiet ON account (domain, quiet_until) WHERE quiet_until IS NOT NULL;
