-- Runs, their steps and their journal.

CREATE TABLE runs (
    id TEXT NOT NULL UNIQUE,
    project TEXT NOT NULL,
    workflow TEXT NOT NULL,
    workflow_digest TEXT NOT NULL,
    source TEXT NOT NULL,
    inputs TEXT NOT NULL,
    outputs TEXT,
    state TEXT NOT NULL CHECK (state IN (
        'pending', 'running', 'waiting-approval', 'needs-attention', 'cancelling',
        'compensating', 'succeeded', 'failed', 'cancelled')),
    actor TEXT NOT NULL,
    created INTEGER NOT NULL,
    started INTEGER,
    finished INTEGER,
    error TEXT,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    attention TEXT,
    parent TEXT,
    labels TEXT NOT NULL,
    CHECK ((finished IS NOT NULL) = (state IN ('succeeded', 'failed', 'cancelled')))
);
CREATE INDEX runs_by_project ON runs (project, id);
CREATE INDEX runs_by_state ON runs (state, id);
CREATE INDEX runs_unfinished ON runs (id) WHERE finished IS NULL;

CREATE TABLE pinned_plugins (
    run TEXT NOT NULL REFERENCES runs (id),
    id TEXT NOT NULL,
    version TEXT NOT NULL,
    digest TEXT NOT NULL,
    path TEXT NOT NULL,
    PRIMARY KEY (run, id, digest)
) WITHOUT ROWID;
CREATE INDEX pinned_plugins_by_digest ON pinned_plugins (digest);

CREATE TABLE steps (
    run TEXT NOT NULL REFERENCES runs (id),
    step TEXT NOT NULL,
    position INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN (
        'pending', 'waiting-approval', 'running', 'retrying', 'succeeded', 'failed',
        'skipped', 'cancelled', 'compensating', 'compensated', 'compensation-failed',
        'needs-attention')),
    attempt INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    compensation_attempt INTEGER NOT NULL DEFAULT 0,
    plugin TEXT,
    input TEXT,
    output TEXT,
    error TEXT,
    next_attempt_at INTEGER,
    started INTEGER,
    finished INTEGER,
    succeeded_event INTEGER,
    UNIQUE (run, step)
);

-- From which number the rows of a table that others read from a number on are counted. A
-- restored backup begins beyond all that were given out after it was made.
CREATE TABLE numbers (
    name TEXT NOT NULL PRIMARY KEY,
    first INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO numbers (name, first) VALUES ('events', 1), ('logs', 1), ('audit', 1);

-- The journal. An id is never reused. AUTOINCREMENT would write one page more for each.
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    run TEXT NOT NULL,
    project TEXT NOT NULL,
    step TEXT,
    attempt INTEGER,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX events_by_run ON events (run);
CREATE TRIGGER events_not_changed BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER events_not_removed BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;

CREATE TABLE operations (
    key TEXT NOT NULL PRIMARY KEY,
    run TEXT NOT NULL,
    step TEXT NOT NULL,
    name TEXT NOT NULL,
    request TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('started', 'finished', 'lost', 'abandoned')),
    result TEXT,
    started INTEGER NOT NULL,
    finished INTEGER,
    CHECK ((result IS NOT NULL) OR state <> 'finished')
) WITHOUT ROWID;
CREATE INDEX operations_by_step ON operations (run, step, name);
CREATE UNIQUE INDEX operations_one_alive ON operations (run, step, name)
WHERE state <> 'abandoned';

CREATE TABLE approvals (
    run TEXT NOT NULL REFERENCES runs (id),
    step TEXT NOT NULL,
    digest TEXT NOT NULL,
    plan TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'rejected', 'withdrawn')),
    requested INTEGER NOT NULL,
    decided INTEGER,
    actor TEXT,
    comment TEXT,
    UNIQUE (run, step)
);
CREATE INDEX approvals_pending ON approvals (run, step) WHERE state = 'pending';

CREATE TABLE logs (
    id INTEGER PRIMARY KEY,
    run TEXT NOT NULL,
    step TEXT,
    plugin TEXT,
    level INTEGER NOT NULL,
    message TEXT NOT NULL,
    fields TEXT NOT NULL,
    at INTEGER NOT NULL
);
CREATE INDEX logs_by_run ON logs (run);

CREATE TABLE artifacts (
    run TEXT NOT NULL REFERENCES runs (id),
    name TEXT NOT NULL,
    path TEXT NOT NULL,
    size INTEGER NOT NULL,
    sha256 TEXT,
    PRIMARY KEY (run, name)
) WITHOUT ROWID;

CREATE TABLE workflows (
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    source TEXT NOT NULL,
    digest TEXT NOT NULL,
    created INTEGER NOT NULL,
    actor TEXT NOT NULL,
    PRIMARY KEY (project, name)
) WITHOUT ROWID;
