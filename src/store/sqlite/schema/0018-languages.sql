-- The language that a person chose on a page, and whether a link from our mail was held by who chose.
ALTER TABLE account ADD COLUMN language TEXT;
ALTER TABLE account ADD COLUMN language_by_link INTEGER NOT NULL DEFAULT 0;
-- The languages that the message or the browser asked for; once it is sent, the one it is in.
ALTER TABLE letter ADD COLUMN language TEXT;
