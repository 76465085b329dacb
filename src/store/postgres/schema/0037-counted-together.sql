-- The entries of one statement are counted together.
CREATE OR REPLACE FUNCTION count_entries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO day_count (day, portal, verdict, rule, messages)
    SELECT day_of(received_at), coalesce(portal, ''), verdict, rule, count(*) FROM added
    GROUP BY 1, 2, 3, 4
    ON CONFLICT (day, portal, verdict, rule)
        DO UPDATE SET messages = day_count.messages + excluded.messages;
    RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS ledger_counted ON ledger;
CREATE TRIGGER ledger_counted AFTER INSERT ON ledger
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_entries();
