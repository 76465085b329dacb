-- An account whose person asked to be forgotten: what its requests refer to until they are forgotten,
-- too. Its address is a pseudonym.
ALTER TABLE account ADD COLUMN forgotten_at INTEGER;

CREATE INDEX account_forgotten ON account (forgotten_at) WHERE forgotten_at IS NOT NULL;

-- What the limits counted is forgotten by its age.
CREATE INDEX letter_claim_at ON letter_claim (at);
CREATE INDEX letter_minute_minute ON letter_minute (minute);
