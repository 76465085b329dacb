-- Whoever inserts an entry counts it. For a trigger on INSERT, SQLite would copy each page that the insert changes, so
-- that it can undo the insert alone. Changed and deleted entries are rare, and triggers go on counting them.
DROP TRIGGER ledger_counted;
DROP TRIGGER ledger_shut_out;
