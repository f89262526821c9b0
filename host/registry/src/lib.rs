//! Plugins in OCI registries: push, pull, search, sign, verify.
//!
//! **Problem.** A plugin has to get from its author to hosts that know neither the author nor
//! each other, by servers that everybody runs already, and arrive as what it was sent as: a
//! registry, or whoever stands in between, may be down, slow, mistaken or lying.
//!
//! **Design.**
//! - A [`Reference`] names an artifact by a tag or by the [`Digest`] of its manifest. A tag is
//!   resolved once; everything after it goes by the digest.
//! - [`Client`] speaks the part of the OCI distribution protocol that plugins need. Whatever it
//!   reads has a limit and is compared with its digest before anybody sees it; redirects are
//!   followed within their scheme only, and the credentials stay with whom they are for.
//! - [`artifact`] is the layout: one component, as the CNCF's guide for WebAssembly in
//!   registries has it, so that other hosts and tools read it too.
//! - [`signature`] has signatures as cosign makes and verifies them, with [`keys`] on P-256, and
//!   [`policy`] says as data who has to have signed what comes from where.
//! - [`Credentials`] are those of Docker's own file.
//!
//! Every way to fail is a case of [`RegistryError`].
//!
//! **Limits.** Digests are SHA-256. An index (a manifest for several platforms) is refused: a
//! component has one form. Credential helpers are not run, and identity tokens not exchanged.
//! It knows no plugins: what a component is and wants is looked at elsewhere.

pub mod artifact;
mod authorise;
mod client;
mod credentials;
mod digest;
mod error;
pub mod keys;
mod manifest;
pub mod policy;
mod push;
mod reference;
mod search;
mod settings;
pub mod signature;
mod transport;

pub use client::Client;
pub use credentials::Credentials;
pub use digest::Digest;
pub use error::RegistryError;
pub use manifest::{Descriptor, Manifest, Resolved};
pub use reference::{Place, Reference, Repository};
pub use search::{Found, Hits};
pub use settings::{ClientSettings, MAX_MANIFEST_BYTES};
