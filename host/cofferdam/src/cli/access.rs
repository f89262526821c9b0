//! `cofferdam secret`, `token`, `user` and `grant`.

use clap::Subcommand;
use cofferdam_store::Role;
use std::path::PathBuf;

/// The commands of `secret`.
#[derive(Subcommand)]
pub enum SecretCommand {
    /// Set a secret. The value is read from standard input, without echo on a terminal; one
    /// newline at its end is dropped.
    Set {
        /// Its name.
        name: String,
        /// Read the value from this file instead, byte for byte.
        #[arg(long, value_name = "FILE")]
        from_file: Option<PathBuf>,
    },
    /// The names of the secrets.
    List,
    /// Forget a secret.
    Remove {
        /// Its name.
        name: String,
    },
}

/// The commands of `token`.
#[derive(Subcommand)]
pub enum TokenCommand {
    /// Make a token. It is printed once and never again.
    Create {
        /// Whose token.
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// What it is for.
        #[arg(long, value_name = "TEXT")]
        label: Option<String>,
        /// How long it is good for, such as 90d [default: until it is revoked].
        #[arg(long, value_name = "DURATION")]
        expires: Option<String>,
    },
    /// The tokens, without their secret part.
    List,
    /// Make a token useless at once.
    Revoke {
        /// Its id.
        id: String,
    },
}

/// The commands of `user`.
#[derive(Subcommand)]
pub enum UserCommand {
    /// Add a user.
    Add {
        /// The name.
        name: String,
        /// A role to begin with, in --project.
        #[arg(long, value_parser = super::words::<Role>(Role::ALL, Role::as_str))]
        role: Option<Role>,
    },
    /// The users and their roles.
    List,
    /// Remove a user, with the tokens and grants.
    Remove {
        /// The name.
        name: String,
    },
    /// Give a user a role in a project (--project, or * for all), or take it away.
    Role {
        /// The name.
        name: String,
        /// The role.
        #[arg(required_unless_present = "remove", value_parser = super::words::<Role>(Role::ALL, Role::as_str))]
        role: Option<Role>,
        /// Take away what the user has there.
        #[arg(long, conflicts_with = "role")]
        remove: bool,
    },
}

/// The commands of `grant`.
#[derive(Subcommand)]
pub enum GrantCommand {
    /// Give a user a role for a limited time.
    Create {
        /// The user.
        user: String,
        /// The role.
        #[arg(value_parser = super::words::<Role>(Role::ALL, Role::as_str))]
        role: Role,
        /// For how long, such as 2h.
        #[arg(long = "for", value_name = "DURATION")]
        duration: String,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// The grants.
    List {
        /// Also those that expired or were revoked.
        #[arg(long)]
        all: bool,
    },
    /// End a grant at once.
    Revoke {
        /// Its id.
        id: String,
    },
}
