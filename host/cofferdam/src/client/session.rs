//! Which host a command talks to.
