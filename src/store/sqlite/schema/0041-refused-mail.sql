-- Lists of verification mail that was given up.
CREATE INDEX letter_refused ON letter (state, created_at, n) WHERE state = 'refused';
