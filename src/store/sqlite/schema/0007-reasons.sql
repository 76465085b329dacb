-- Codes of the reasons that are new. The codes are no positions in the table of the rules: entries
-- that are stored keep theirs whatever comes between them.
INSERT INTO rule (number, reason) VALUES (17, 'sender_denied'), (18, 'spam');
