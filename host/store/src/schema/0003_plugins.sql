-- Installed plugins, which version of each is active, and what became of activating them.

-- Immutable but for what the operator granted. The digest is that of a file in the
-- component store.
CREATE TABLE plugin_versions (
    digest TEXT NOT NULL PRIMARY KEY,
    id TEXT NOT NULL,
    version TEXT NOT NULL,
    kind TEXT NOT NULL,
    summary TEXT NOT NULL,
    size INTEGER NOT NULL,
    imports TEXT NOT NULL,
    wants TEXT NOT NULL,
    grants TEXT NOT NULL,
    installed INTEGER NOT NULL,
    actor TEXT NOT NULL,
    UNIQUE (id, version)
) WITHOUT ROWID;

CREATE TABLE plugin_active (
    id TEXT NOT NULL PRIMARY KEY,
    digest TEXT NOT NULL REFERENCES plugin_versions (digest),
    activation TEXT NOT NULL,
    since INTEGER NOT NULL
) WITHOUT ROWID;

-- Kept when the versions that they name are removed.
CREATE TABLE plugin_activations (
    id TEXT NOT NULL PRIMARY KEY,
    plugin TEXT NOT NULL,
    cause TEXT NOT NULL CHECK (cause IN ('activate', 'rollback', 'crashes', 'remove')),
    actor TEXT NOT NULL,
    from_version TEXT,
    from_digest TEXT,
    to_version TEXT,
    to_digest TEXT,
    stage TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('going-on', 'active', 'failed')),
    reason TEXT,
    started INTEGER NOT NULL,
    finished INTEGER,
    CHECK ((finished IS NOT NULL) OR outcome <> 'failed')
) WITHOUT ROWID;
CREATE INDEX plugin_activations_by_plugin ON plugin_activations (plugin, id);
CREATE INDEX plugin_activations_open ON plugin_activations (id) WHERE finished IS NULL;

-- By digest and not by installed version: plugins of the plugin folders crash too.
CREATE TABLE plugin_crashes (
    id INTEGER PRIMARY KEY,
    plugin TEXT NOT NULL,
    digest TEXT NOT NULL,
    call TEXT NOT NULL,
    reason TEXT NOT NULL,
    run TEXT,
    at INTEGER NOT NULL
);
CREATE INDEX plugin_crashes_by_digest ON plugin_crashes (digest, at);

CREATE TABLE plugin_quarantines (
    digest TEXT NOT NULL PRIMARY KEY,
    plugin TEXT NOT NULL,
    version TEXT NOT NULL,
    reason TEXT NOT NULL,
    since INTEGER NOT NULL
) WITHOUT ROWID;

-- Steps that wait until a plugin is back.
CREATE INDEX steps_parked ON steps (run) WHERE state = 'needs-attention';
