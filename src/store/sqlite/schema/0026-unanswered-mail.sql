-- Verification mails that were sent to the account since the person last did something.
ALTER TABLE account ADD COLUMN unanswered_mails INTEGER NOT NULL DEFAULT 0;
