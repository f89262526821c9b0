//! Users, their roles, tokens and grants.

mod grants;
mod roles;
mod tokens;
mod users;
