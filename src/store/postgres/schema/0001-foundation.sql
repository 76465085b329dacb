-- The schema of a store on PostgreSQL: that of SQLite after its migration 0029, with the same tables,
-- columns, keys, indexes and triggers (tests/integration/store compares them). Ids and hashes are bytea, all
-- numbers, times and booleans bigint; texts are compared octet by octet, as SQLite does. It is created in a
-- schema of its own, which is first in the search_path.

-- The codes of reasons, for readers of the database without the program.
CREATE TABLE rule (
    number bigint PRIMARY KEY,
    reason text COLLATE "C" NOT NULL UNIQUE
);
INSERT INTO rule (number, reason) VALUES
    (1, 'duplicate'), (2, 'bounce'), (3, 'loop'), (4, 'sender_unusable'), (5, 'account_blocked'),
    (6, 'automatic'), (7, 'bulk'), (8, 'authentication_failed'), (9, 'account_active'),
    (10, 'account_pending'), (11, 'internal_account_created'), (12, 'external_accounts_disabled'),
    (13, 'domain_not_allowed'), (14, 'external_account_created'), (15, 'hold_quota'),
    (16, 'confirmation'), (17, 'sender_denied'), (18, 'spam');

-- Numbers of rows come from one row, for all tables, in the order of commits.
CREATE TABLE writer (
    n bigint PRIMARY KEY CHECK (n = 1),
    next_number bigint NOT NULL CHECK (next_number > 0)
);
INSERT INTO writer (n, next_number) VALUES (1, 1);

CREATE TABLE link_key (
    n bigint PRIMARY KEY CHECK (n = 1),
    key bytea NOT NULL CHECK (length(key) = 32)
);

CREATE TABLE account (
    n bigint PRIMARY KEY,
    id bytea NOT NULL UNIQUE CHECK (length(id) = 16),
    -- Local part in lower case and domain in ASCII: what tells accounts apart.
    key text COLLATE "C" NOT NULL UNIQUE,
    address text COLLATE "C" NOT NULL,
    domain text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL CHECK (kind = 'internal' OR kind = 'external'),
    status text COLLATE "C" NOT NULL CHECK (status = 'pending' OR status = 'active' OR status = 'blocked'),
    -- Whether the rule that made the account wanted a proof.
    proof_needed bigint NOT NULL CHECK (proof_needed = 0 OR proof_needed = 1),
    verified_by text COLLATE "C",
    verified_at bigint,
    groups text COLLATE "C" NOT NULL CHECK (groups::json IS NOT NULL),
    takes_automatic bigint NOT NULL DEFAULT 0,
    undeliverable bigint NOT NULL DEFAULT 0,
    -- Until then the address gets no mail of ours: "This was not me".
    quiet_until bigint,
    created_at bigint NOT NULL,
    created_by text COLLATE "C" NOT NULL,
    forgotten_at bigint,
    language text COLLATE "C",
    language_by_link bigint NOT NULL DEFAULT 0,
    refused_at bigint,
    refused_authenticated bigint NOT NULL DEFAULT 0 CHECK (refused_authenticated = 0 OR refused_authenticated = 1),
    quiet_mailed bigint NOT NULL DEFAULT 0,
    placeholder bigint NOT NULL DEFAULT 0 CHECK (placeholder = 0 OR placeholder = 1),
    unanswered_mails bigint NOT NULL DEFAULT 0,
    CHECK ((verified_by IS NULL) = (verified_at IS NULL)),
    -- Nobody is active without the proof that was asked for.
    CHECK (status <> 'active' OR proof_needed = 0 OR verified_at IS NOT NULL),
    CHECK (status <> 'pending' OR (proof_needed = 1 AND verified_at IS NULL))
);
CREATE INDEX account_domain ON account (domain, key);
CREATE INDEX account_forgotten ON account (forgotten_at) WHERE forgotten_at IS NOT NULL;
CREATE INDEX account_kind ON account (kind, key, status);
CREATE INDEX account_quiet ON account (domain, quiet_until) WHERE quiet_until IS NOT NULL;
CREATE INDEX account_status ON account (status, key, kind);
CREATE INDEX account_undeliverable ON account (key) WHERE undeliverable = 1;
CREATE INDEX account_verified ON account (verified_at, created_at, verified_by)
    WHERE verified_at IS NOT NULL;

-- Portals that accepted an unverified account.
CREATE TABLE let_in (
    account bigint NOT NULL REFERENCES account (n) ON DELETE CASCADE,
    portal text COLLATE "C" NOT NULL,
    PRIMARY KEY (account, portal)
);

CREATE TABLE ledger (
    n bigint PRIMARY KEY,
    -- A request has the id of its entry.
    id bytea NOT NULL UNIQUE CHECK (length(id) = 16),
    received_at bigint NOT NULL,
    -- None for what came to the address to which reports return.
    portal text COLLATE "C",
    recipient text COLLATE "C" NOT NULL,
    verdict text COLLATE "C" NOT NULL CHECK (verdict = 'accepted' OR verdict = 'held' OR verdict = 'dropped'),
    rule bigint NOT NULL REFERENCES rule (number),
    revision bigint NOT NULL,
    sender text COLLATE "C",
    domain text COLLATE "C",
    -- The entry that this one repeats.
    original bigint REFERENCES ledger (n) ON DELETE CASCADE,
    -- The entry under which the content is kept, where it is not this one.
    message bigint REFERENCES ledger (n) ON DELETE SET NULL,
    -- When the content of a dropped message is forgotten.
    forget_at bigint,
    -- 64 bits of SHA-256 over the Message-ID, and over the portal and the fingerprint.
    message_key bigint,
    copy_key bigint NOT NULL,
    facts text COLLATE "C" NOT NULL,
    envelope text COLLATE "C" NOT NULL,
    circumstances text COLLATE "C",
    standing text COLLATE "C" NOT NULL,
    CHECK ((rule = 1) = (original IS NOT NULL)),
    CHECK (original IS NULL OR message IS NULL)
);
CREATE INDEX ledger_dropped ON ledger (domain, sender, received_at, rule) WHERE verdict = 'dropped';
CREATE INDEX ledger_forget ON ledger (forget_at) WHERE forget_at IS NOT NULL;
CREATE INDEX ledger_message ON ledger (message) WHERE message IS NOT NULL;
CREATE INDEX ledger_message_key ON ledger (message_key, copy_key)
    WHERE message_key IS NOT NULL AND original IS NULL;
CREATE INDEX ledger_original ON ledger (original) WHERE original IS NOT NULL;
CREATE INDEX ledger_time ON ledger (received_at, verdict, rule, portal);

CREATE TABLE content (
    ledger bigint PRIMARY KEY REFERENCES ledger (n) ON DELETE CASCADE,
    raw bytea NOT NULL
);
-- Neither compressed nor inline, so that a piece of it can be read without the rest.
ALTER TABLE content ALTER COLUMN raw SET STORAGE EXTERNAL;

CREATE TABLE request (
    ledger bigint PRIMARY KEY REFERENCES ledger (n) ON DELETE CASCADE,
    account bigint NOT NULL REFERENCES account (n),
    portal text COLLATE "C" NOT NULL,
    size bigint NOT NULL,
    received_at bigint NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (
        state = 'held' OR state = 'released' OR state = 'delivered'
        OR state = 'failed' OR state = 'discarded' OR state = 'expired'
    ),
    -- Held: when it expires. Released: when the next attempt is due, or when the lease of the one
    -- under way is over; NULL while an earlier one of the account waits for the same portal.
    due_at bigint,
    in_work bigint NOT NULL DEFAULT 0 CHECK (in_work = 0 OR in_work = 1),
    attempts bigint NOT NULL DEFAULT 0,
    released_at bigint,
    -- 'rule', 'proof' or 'operator:NAME'.
    released_by text COLLATE "C",
    settled_at bigint,
    reminded bigint NOT NULL DEFAULT 0 CHECK (reminded = 0 OR reminded = 1),
    -- Whether this request still wants its content.
    kept bigint NOT NULL DEFAULT 1 CHECK (kept = 0 OR kept = 1),
    last_error text COLLATE "C",
    authenticated bigint NOT NULL DEFAULT 0,
    stopped bigint NOT NULL DEFAULT 0 CHECK (stopped = 0 OR stopped = 1),
    passed bigint NOT NULL DEFAULT 0 CHECK (passed = 0 OR passed = 1),
    sender_named bigint NOT NULL DEFAULT 0 CHECK (sender_named = 0 OR sender_named = 1),
    restorable_until bigint,
    claim bigint,
    holder text COLLATE "C",
    CHECK ((released_at IS NULL) = (released_by IS NULL)),
    CHECK (state <> 'held' OR (due_at IS NOT NULL AND released_at IS NULL AND settled_at IS NULL)),
    CHECK (state <> 'released' OR (released_at IS NOT NULL AND settled_at IS NULL AND kept = 1)),
    CHECK ((state <> 'delivered' AND state <> 'failed') OR released_at IS NOT NULL),
    CHECK (state = 'held' OR state = 'released' OR (settled_at IS NOT NULL AND due_at IS NULL)),
    CHECK (in_work = 0 OR (state = 'released' AND due_at IS NOT NULL))
);
CREATE INDEX request_account ON request (account, state, portal, released_at);
CREATE INDEX request_due ON request (portal, due_at) WHERE state = 'released';
CREATE INDEX request_held ON request (reminded, due_at, portal) WHERE state = 'held';
CREATE INDEX request_kept ON request (state, settled_at, portal)
    WHERE settled_at IS NOT NULL AND kept = 1;
CREATE INDEX request_open ON request (state, ledger, portal)
    WHERE state = 'held' OR state = 'failed';

-- Messages that the hold quota dropped and that the verification page offers.
CREATE TABLE offer (
    n bigint PRIMARY KEY,
    ledger bigint NOT NULL UNIQUE REFERENCES ledger (n) ON DELETE CASCADE,
    account bigint NOT NULL REFERENCES account (n) ON DELETE CASCADE,
    authenticated bigint NOT NULL CHECK (authenticated = 0 OR authenticated = 1),
    octets bigint NOT NULL,
    -- Until when the content would be kept if it were not offered.
    kept_otherwise_until bigint NOT NULL
);
CREATE INDEX offer_account ON offer (account, n);

CREATE TABLE event (
    n bigint PRIMARY KEY,
    at bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    ledger bigint REFERENCES ledger (n) ON DELETE CASCADE,
    account bigint REFERENCES account (n) ON DELETE CASCADE,
    -- 'daemon', 'person' or 'operator:NAME'.
    actor text COLLATE "C" NOT NULL,
    detail text COLLATE "C",
    origin text COLLATE "C"
);
CREATE INDEX event_account ON event (account, name) WHERE account IS NOT NULL;
CREATE INDEX event_ledger ON event (ledger) WHERE ledger IS NOT NULL;
CREATE INDEX event_operator ON event (n) WHERE origin IS NOT NULL;

-- Verification mail.
CREATE TABLE letter (
    n bigint PRIMARY KEY,
    id bytea NOT NULL UNIQUE CHECK (length(id) = 16),
    account bigint NOT NULL REFERENCES account (n) ON DELETE CASCADE,
    kind text COLLATE "C" NOT NULL CHECK (kind = 'verification' OR kind = 'reminder' OR kind = 'already_registered'),
    cause text COLLATE "C" NOT NULL,
    portal text COLLATE "C",
    in_reply_to text COLLATE "C",
    state text COLLATE "C" NOT NULL CHECK (
        state = 'waiting' OR state = 'claimed' OR state = 'sent' OR state = 'refused'
        OR state = 'cancelled'
    ),
    created_at bigint NOT NULL,
    -- Waiting: when it may be sent. Claimed: when it counts as never sent.
    due_at bigint,
    claimed_at bigint,
    settled_at bigint,
    attempts bigint NOT NULL DEFAULT 0,
    last_error text COLLATE "C",
    lane bigint NOT NULL DEFAULT 2,
    flow bigint NOT NULL DEFAULT 0,
    turn bigint NOT NULL DEFAULT 0,
    language text COLLATE "C",
    claim bigint,
    holder text COLLATE "C",
    CHECK ((state = 'waiting' OR state = 'claimed') = (due_at IS NOT NULL)),
    CHECK ((due_at IS NULL) = (settled_at IS NOT NULL))
);
CREATE INDEX letter_account ON letter (account);
CREATE INDEX letter_due ON letter (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX letter_flow ON letter (flow, lane, turn) WHERE due_at IS NOT NULL;
CREATE INDEX letter_newest ON letter (lane, due_at, turn, n DESC) WHERE due_at IS NOT NULL;
CREATE INDEX letter_oldest ON letter (lane, due_at, turn, n) WHERE due_at IS NOT NULL;
CREATE UNIQUE INDEX letter_outstanding ON letter (account) WHERE due_at IS NOT NULL;
CREATE INDEX letter_turn ON letter (lane, turn) WHERE due_at IS NOT NULL;

CREATE TABLE token (
    -- SHA-256; the token itself exists in the mail only.
    hash bytea PRIMARY KEY CHECK (length(hash) = 32),
    account bigint NOT NULL REFERENCES account (n) ON DELETE CASCADE,
    letter bigint NOT NULL REFERENCES letter (n) ON DELETE CASCADE,
    expires_at bigint NOT NULL,
    used_at bigint,
    refused_at bigint
);
CREATE INDEX token_account ON token (account);
CREATE INDEX token_expires ON token (expires_at);
CREATE INDEX token_letter ON token (letter);

-- Mail that was sent or may have been, by mailbox: what the limits count.
CREATE TABLE letter_claim (
    mailbox text COLLATE "C" NOT NULL,
    at bigint NOT NULL,
    letter bigint NOT NULL,
    PRIMARY KEY (mailbox, at, letter)
);
CREATE INDEX letter_claim_at ON letter_claim (at);
CREATE INDEX letter_claim_letter ON letter_claim (letter);

CREATE TABLE letter_minute (
    domain text COLLATE "C" NOT NULL,
    minute bigint NOT NULL,
    letters bigint NOT NULL CHECK (letters >= 0),
    PRIMARY KEY (domain, minute)
);
CREATE INDEX letter_minute_minute ON letter_minute (minute);

-- Notices to senders that their mail is not accepted.
CREATE TABLE notice (
    n bigint PRIMARY KEY,
    id bytea NOT NULL UNIQUE CHECK (length(id) = 16),
    ledger bigint REFERENCES ledger (n) ON DELETE SET NULL,
    -- The key of the address.
    sender text COLLATE "C" NOT NULL,
    address text COLLATE "C" NOT NULL,
    -- All spellings of the mailbox; known when it is claimed.
    mailbox text COLLATE "C",
    portal text COLLATE "C" NOT NULL,
    reason text COLLATE "C" NOT NULL,
    in_reply_to text COLLATE "C",
    created_at bigint NOT NULL,
    -- When it may be sent; NULL once it was claimed for the last time.
    due_at bigint,
    claimed_at bigint,
    attempts bigint NOT NULL DEFAULT 0
);
CREATE INDEX notice_created ON notice (created_at);
CREATE INDEX notice_due ON notice (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX notice_ledger ON notice (ledger) WHERE ledger IS NOT NULL;
CREATE INDEX notice_mailbox ON notice (mailbox, claimed_at) WHERE mailbox IS NOT NULL;
CREATE INDEX notice_sender ON notice (sender, created_at);

-- Content that no request wants, by the domain that pays for it.
CREATE TABLE dropped_content (
    ledger bigint PRIMARY KEY REFERENCES content (ledger) ON DELETE CASCADE,
    swarm bigint NOT NULL CHECK (swarm = 0 OR swarm = 1),
    sender text COLLATE "C" NOT NULL,
    octets bigint NOT NULL
);
CREATE INDEX dropped_content_sender ON dropped_content (swarm, sender, ledger);
CREATE INDEX dropped_content_swarm ON dropped_content (swarm, ledger);

CREATE TABLE dropped_sender (
    swarm bigint NOT NULL,
    sender text COLLATE "C" NOT NULL,
    octets bigint NOT NULL CHECK (octets >= 0),
    messages bigint NOT NULL CHECK (messages >= 0),
    PRIMARY KEY (swarm, sender)
);
CREATE INDEX dropped_sender_octets ON dropped_sender (swarm, octets);

CREATE TABLE dropped_total (
    swarm bigint PRIMARY KEY,
    octets bigint NOT NULL CHECK (octets >= 0)
);
INSERT INTO dropped_total (swarm, octets) VALUES (0, 0), (1, 0);

-- Entries by day, and those that the settings dropped by domain; kept by triggers.
CREATE TABLE day_count (
    day bigint NOT NULL,
    portal text COLLATE "C" NOT NULL,
    verdict text COLLATE "C" NOT NULL,
    rule bigint NOT NULL,
    messages bigint NOT NULL CHECK (messages >= 0),
    PRIMARY KEY (day, portal, verdict, rule)
);

CREATE TABLE shut_out (
    day bigint NOT NULL,
    domain text COLLATE "C" NOT NULL,
    messages bigint NOT NULL CHECK (messages >= 0),
    PRIMARY KEY (day, domain)
);

-- Settled requests, by portal and state; kept by triggers.
CREATE TABLE request_count (
    portal text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    requests bigint NOT NULL CHECK (requests >= 0),
    PRIMARY KEY (portal, state)
);

-- For each hour since 1970, the most requests that waited in each state.
CREATE TABLE queue_depth (
    hour bigint PRIMARY KEY,
    held bigint NOT NULL,
    released bigint NOT NULL,
    failed bigint NOT NULL
);

CREATE TABLE down_destination (
    destination text COLLATE "C" PRIMARY KEY,
    since bigint NOT NULL,
    -- When the next message is tried.
    next_try_at bigint NOT NULL,
    last_error text COLLATE "C" NOT NULL
);

CREATE TABLE paused_destination (
    destination text COLLATE "C" PRIMARY KEY,
    at bigint NOT NULL,
    by text COLLATE "C" NOT NULL
);

CREATE TABLE hook (
    name text COLLATE "C" PRIMARY KEY,
    -- Patterns: 'account.*', 'request.delivered'.
    events text COLLATE "C" NOT NULL CHECK (events::json IS NOT NULL)
);

CREATE TABLE hook_call (
    n bigint PRIMARY KEY,
    id bytea NOT NULL UNIQUE CHECK (length(id) = 16),
    hook text COLLATE "C" NOT NULL,
    account bigint NOT NULL REFERENCES account (n) ON DELETE CASCADE,
    event text COLLATE "C" NOT NULL,
    payload text COLLATE "C" NOT NULL CHECK (payload::json IS NOT NULL),
    created_at bigint NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state = 'waiting' OR state = 'delivered' OR state = 'failed'),
    -- When the next attempt is due, or when the lease of the one under way is over; NULL while an
    -- earlier call about the same account waits for the same hook.
    due_at bigint,
    in_work bigint NOT NULL DEFAULT 0 CHECK (in_work = 0 OR in_work = 1),
    attempts bigint NOT NULL DEFAULT 0,
    -- Since when it waits: the attempts are counted from there.
    released_at bigint NOT NULL,
    settled_at bigint,
    last_error text COLLATE "C",
    claim bigint,
    holder text COLLATE "C",
    CHECK ((state = 'waiting') = (settled_at IS NULL)),
    CHECK (due_at IS NULL OR state = 'waiting'),
    CHECK (in_work = 0 OR due_at IS NOT NULL)
);
CREATE INDEX hook_call_account ON hook_call (account, hook, state, n);
CREATE INDEX hook_call_due ON hook_call (hook, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX hook_call_settled ON hook_call (settled_at) WHERE settled_at IS NOT NULL;
CREATE INDEX hook_call_state ON hook_call (hook, state, n);

CREATE TABLE access_revision (
    number bigint PRIMARY KEY CHECK (number >= 1),
    at bigint NOT NULL,
    by text COLLATE "C" NOT NULL,
    origin text COLLATE "C" NOT NULL,
    settings text COLLATE "C" NOT NULL CHECK (settings::json IS NOT NULL)
);

CREATE TABLE operator (
    n bigint PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    role text COLLATE "C" NOT NULL CHECK (role IN ('viewer', 'agent', 'admin')),
    -- argon2id, as a PHC string.
    password text COLLATE "C" NOT NULL,
    created_at bigint NOT NULL,
    created_by text COLLATE "C" NOT NULL
);

CREATE TABLE operator_key (
    -- SHA-256; the key itself exists in the browser or the script only.
    hash bytea PRIMARY KEY CHECK (length(hash) = 32),
    operator bigint NOT NULL REFERENCES operator (n) ON DELETE CASCADE,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('session', 'token')),
    -- May do no more than its operator, whatever stands here.
    role text COLLATE "C" NOT NULL CHECK (role IN ('viewer', 'agent', 'admin')),
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    note text COLLATE "C"
);
CREATE INDEX operator_key_operator ON operator_key (operator);

-- Answers to requests with an Idempotency-Key.
CREATE TABLE answer (
    n bigint PRIMARY KEY,
    operator bigint NOT NULL REFERENCES operator (n) ON DELETE CASCADE,
    key text COLLATE "C" NOT NULL,
    -- SHA-256 of the request.
    request bytea NOT NULL CHECK (length(request) = 32),
    -- All three NULL while the request is being worked on.
    status bigint,
    head text COLLATE "C" CHECK (head IS NULL OR head::json IS NOT NULL),
    body bytea,
    expires_at bigint NOT NULL,
    UNIQUE (operator, key),
    CHECK ((status IS NULL) = (head IS NULL) AND (status IS NULL) = (body IS NULL))
);
CREATE INDEX answer_expires ON answer (expires_at);

-- The index of `find`: words, their endings, and the entries that have them.
CREATE TABLE search_word (
    number bigint PRIMARY KEY,
    word text COLLATE "C" NOT NULL UNIQUE,
    -- Entries that have it. The worker removes a word that none has any more.
    messages bigint NOT NULL CHECK (messages >= 0)
);
CREATE INDEX search_word_unused ON search_word (messages) WHERE messages = 0;

CREATE TABLE search_ending (
    ending text COLLATE "C" NOT NULL,
    word bigint NOT NULL,
    PRIMARY KEY (ending, word)
);

CREATE TABLE search_entry (
    word bigint NOT NULL,
    ledger bigint NOT NULL,
    PRIMARY KEY (word, ledger)
);
CREATE INDEX search_entry_ledger ON search_entry (ledger);

-- The entry up to which all are indexed.
CREATE TABLE search_progress (
    ledger bigint NOT NULL
);
INSERT INTO search_progress (ledger) VALUES (0);

-- Entries that changed since they were indexed.
CREATE TABLE search_due (
    ledger bigint PRIMARY KEY
);

-- Start of the day of a time, both in milliseconds.
CREATE FUNCTION day_of(at bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN at / 86400000 * 86400000;

-- Counters. Each is raised and lowered by one row; a row at 0 is removed.

CREATE FUNCTION count_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        UPDATE day_count SET messages = messages - 1
        WHERE day = day_of(OLD.received_at) AND portal = coalesce(OLD.portal, '')
            AND verdict = OLD.verdict AND rule = OLD.rule;
        DELETE FROM day_count
        WHERE day = day_of(OLD.received_at) AND portal = coalesce(OLD.portal, '')
            AND verdict = OLD.verdict AND rule = OLD.rule AND messages = 0;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO day_count (day, portal, verdict, rule, messages)
        VALUES (day_of(NEW.received_at), coalesce(NEW.portal, ''), NEW.verdict, NEW.rule, 1)
        ON CONFLICT (day, portal, verdict, rule) DO UPDATE SET messages = day_count.messages + 1;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER ledger_counted AFTER INSERT ON ledger
    FOR EACH ROW EXECUTE FUNCTION count_entry();
CREATE TRIGGER ledger_recounted AFTER UPDATE OF received_at, portal, verdict, rule ON ledger
    FOR EACH ROW EXECUTE FUNCTION count_entry();
CREATE TRIGGER ledger_uncounted AFTER DELETE ON ledger
    FOR EACH ROW EXECUTE FUNCTION count_entry();

CREATE FUNCTION count_shut_out() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO shut_out (day, domain, messages) VALUES (day_of(NEW.received_at), NEW.domain, 1)
    ON CONFLICT (day, domain) DO UPDATE SET messages = shut_out.messages + 1;
    RETURN NULL;
END $$;
CREATE FUNCTION uncount_shut_out() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE shut_out SET messages = messages - 1
    WHERE day = day_of(OLD.received_at) AND domain = OLD.domain;
    DELETE FROM shut_out
    WHERE day = day_of(OLD.received_at) AND domain = OLD.domain AND messages = 0;
    RETURN NULL;
END $$;
CREATE TRIGGER ledger_shut_out AFTER INSERT ON ledger
    FOR EACH ROW WHEN ((NEW.rule = 12 OR NEW.rule = 13) AND NEW.domain IS NOT NULL)
    EXECUTE FUNCTION count_shut_out();
-- Triggers of one kind fire in the order of their names: the old count is lowered first.
CREATE TRIGGER ledger_let_in AFTER UPDATE OF received_at, rule, domain ON ledger
    FOR EACH ROW WHEN ((OLD.rule = 12 OR OLD.rule = 13) AND OLD.domain IS NOT NULL)
    EXECUTE FUNCTION uncount_shut_out();
CREATE TRIGGER ledger_shut_out_anew AFTER UPDATE OF received_at, rule, domain ON ledger
    FOR EACH ROW WHEN ((NEW.rule = 12 OR NEW.rule = 13) AND NEW.domain IS NOT NULL)
    EXECUTE FUNCTION count_shut_out();
CREATE TRIGGER ledger_shut_out_gone AFTER DELETE ON ledger
    FOR EACH ROW WHEN ((OLD.rule = 12 OR OLD.rule = 13) AND OLD.domain IS NOT NULL)
    EXECUTE FUNCTION uncount_shut_out();

CREATE FUNCTION count_dropped_content() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO dropped_sender (swarm, sender, octets, messages)
    VALUES (NEW.swarm, NEW.sender, NEW.octets, 1)
    ON CONFLICT (swarm, sender) DO UPDATE
        SET octets = dropped_sender.octets + NEW.octets, messages = dropped_sender.messages + 1;
    UPDATE dropped_total SET octets = octets + NEW.octets WHERE swarm = NEW.swarm;
    RETURN NULL;
END $$;
CREATE FUNCTION uncount_dropped_content() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE dropped_sender SET octets = octets - OLD.octets, messages = messages - 1
    WHERE swarm = OLD.swarm AND sender = OLD.sender;
    DELETE FROM dropped_sender
    WHERE swarm = OLD.swarm AND sender = OLD.sender AND messages = 0;
    UPDATE dropped_total SET octets = octets - OLD.octets WHERE swarm = OLD.swarm;
    RETURN NULL;
END $$;
CREATE TRIGGER dropped_content_counted AFTER INSERT ON dropped_content
    FOR EACH ROW EXECUTE FUNCTION count_dropped_content();
CREATE TRIGGER dropped_content_uncounted AFTER DELETE ON dropped_content
    FOR EACH ROW EXECUTE FUNCTION uncount_dropped_content();

CREATE FUNCTION count_settled_request() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO request_count (portal, state, requests) VALUES (NEW.portal, NEW.state, 1)
    ON CONFLICT (portal, state) DO UPDATE SET requests = request_count.requests + 1;
    RETURN NULL;
END $$;
CREATE FUNCTION uncount_settled_request() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE request_count SET requests = requests - 1
    WHERE portal = OLD.portal AND state = OLD.state;
    DELETE FROM request_count WHERE portal = OLD.portal AND state = OLD.state AND requests = 0;
    RETURN NULL;
END $$;
CREATE TRIGGER request_settled AFTER UPDATE OF state ON request
    FOR EACH ROW WHEN (OLD.state <> NEW.state AND NEW.state <> 'held' AND NEW.state <> 'released')
    EXECUTE FUNCTION count_settled_request();
CREATE TRIGGER request_taken_up AFTER UPDATE OF state ON request
    FOR EACH ROW WHEN (OLD.state <> NEW.state AND OLD.state <> 'held' AND OLD.state <> 'released')
    EXECUTE FUNCTION uncount_settled_request();
CREATE TRIGGER request_erased AFTER DELETE ON request
    FOR EACH ROW WHEN (OLD.state <> 'held' AND OLD.state <> 'released')
    EXECUTE FUNCTION uncount_settled_request();

-- The states of a request, whoever changes them.

CREATE FUNCTION refuse_edge() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a request cannot change its state in this way'
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER request_edges BEFORE UPDATE OF state ON request
    FOR EACH ROW WHEN (OLD.state <> NEW.state AND NOT (
        (OLD.state = 'held'
            AND (NEW.state = 'released' OR NEW.state = 'discarded' OR NEW.state = 'expired'))
        OR (OLD.state = 'released'
            AND (NEW.state = 'delivered' OR NEW.state = 'failed' OR NEW.state = 'discarded'))
        OR (OLD.state = 'failed' AND (NEW.state = 'released' OR NEW.state = 'discarded'))
        OR ((OLD.state = 'discarded' OR OLD.state = 'expired') AND NEW.state = 'released')
        OR (OLD.state = 'discarded' AND NEW.state = 'held' AND OLD.restorable_until IS NOT NULL)
    ))
    EXECUTE FUNCTION refuse_edge();

CREATE FUNCTION check_release() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM account
        WHERE n = NEW.account AND status = 'active' AND verified_at IS NOT NULL
    ) THEN
        RAISE EXCEPTION 'a request cannot be released before its account is verified'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER request_release BEFORE UPDATE OF state ON request
    FOR EACH ROW WHEN (NEW.state = 'released' AND OLD.state <> 'released' AND OLD.state <> 'failed'
        AND substr(NEW.released_by, 1, 9) <> 'operator:')
    EXECUTE FUNCTION check_release();

-- Nothing of an entry can be found once it is erased, or rewritten under a pseudonym.

CREATE FUNCTION forget_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM search_entry WHERE ledger = OLD.n;
    IF TG_OP = 'DELETE' THEN
        DELETE FROM search_due WHERE ledger = OLD.n;
    ELSE
        INSERT INTO search_due (ledger) VALUES (OLD.n) ON CONFLICT (ledger) DO NOTHING;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER search_erased AFTER DELETE ON ledger
    FOR EACH ROW EXECUTE FUNCTION forget_words();
CREATE TRIGGER search_rewritten AFTER UPDATE OF facts ON ledger
    FOR EACH ROW EXECUTE FUNCTION forget_words();

CREATE FUNCTION uncount_word() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE search_word SET messages = messages - 1 WHERE number = OLD.word;
    RETURN NULL;
END $$;
CREATE TRIGGER search_entry_erased AFTER DELETE ON search_entry
    FOR EACH ROW EXECUTE FUNCTION uncount_word();
