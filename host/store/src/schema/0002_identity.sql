-- Who may do what, who did what, and secrets.

CREATE TABLE users (
    name TEXT NOT NULL PRIMARY KEY,
    created INTEGER NOT NULL,
    disabled INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE role_bindings (
    user TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    project TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('read', 'deploy', 'admin')),
    PRIMARY KEY (user, project)
) WITHOUT ROWID;

-- Kept when their user is removed, so that the audit log's names stay explained.
CREATE TABLE tokens (
    id TEXT NOT NULL PRIMARY KEY,
    user TEXT NOT NULL,
    label TEXT NOT NULL,
    hash TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER,
    revoked INTEGER,
    last_used INTEGER
) WITHOUT ROWID;
CREATE INDEX tokens_by_user ON tokens (user);

CREATE TABLE grants (
    id TEXT NOT NULL PRIMARY KEY,
    user TEXT NOT NULL,
    project TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('read', 'deploy', 'admin')),
    reason TEXT NOT NULL,
    granted_by TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    revoked INTEGER
) WITHOUT ROWID;
CREATE INDEX grants_by_user ON grants (user, expires);

CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    via TEXT NOT NULL,
    address TEXT,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    project TEXT,
    detail TEXT NOT NULL
);
CREATE INDEX audit_by_actor ON audit (actor);
CREATE INDEX audit_by_target ON audit (target);
CREATE TRIGGER audit_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_not_removed BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

-- A claim without a status is being answered.
CREATE TABLE idempotency_keys (
    actor TEXT NOT NULL,
    key TEXT NOT NULL,
    route TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    run TEXT,
    status INTEGER,
    body BLOB,
    created INTEGER NOT NULL,
    PRIMARY KEY (actor, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created);

CREATE TABLE secrets (
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    key_id TEXT NOT NULL,
    nonce BLOB NOT NULL CHECK (length(nonce) = 24),
    ciphertext BLOB NOT NULL CHECK (length(ciphertext) >= 16),
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    PRIMARY KEY (project, name)
) WITHOUT ROWID;
