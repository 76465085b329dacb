-- Who is at work on a row: the number of the claim, which is given once, and the set of workers that
-- holds it. Both NULL while nobody is.
ALTER TABLE request ADD COLUMN claim INTEGER;
ALTER TABLE request ADD COLUMN holder TEXT;
ALTER TABLE hook_call ADD COLUMN claim INTEGER;
ALTER TABLE hook_call ADD COLUMN holder TEXT;
ALTER TABLE letter ADD COLUMN claim INTEGER;
ALTER TABLE letter ADD COLUMN holder TEXT;

-- Claims of before have no number, and whoever made them is gone.
UPDATE request INDEXED BY request_due
    SET in_work = 0, due_at = CASE stopped WHEN 0 THEN released_at END
    WHERE state = 'released' AND portal > '' AND in_work = 1;
UPDATE hook_call INDEXED BY hook_call_due SET in_work = 0, due_at = released_at
    WHERE due_at IS NOT NULL AND hook > '' AND in_work = 1;
-- It may have been sent, and its share of the limits stays taken.
UPDATE letter INDEXED BY letter_due SET state = 'waiting', due_at = claimed_at
    WHERE due_at IS NOT NULL AND state = 'claimed' AND (
        kind = 'already_registered' OR EXISTS (
            SELECT 1 FROM account AS a WHERE a.n = letter.account
                AND (a.status = 'pending' OR (a.status = 'active' AND a.verified_at IS NULL))
        )
    );
UPDATE letter INDEXED BY letter_due SET state = 'cancelled', due_at = NULL, settled_at = claimed_at
    WHERE due_at IS NOT NULL AND state = 'claimed';
