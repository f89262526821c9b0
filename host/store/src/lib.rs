//! State: runs and their journal, secrets, identity and audit in SQLite.
