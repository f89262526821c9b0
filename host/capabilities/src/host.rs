//! The view of an instance's state that the generated traits are implemented on.

use cofferdam_runtime::{HostFailure, State};
use std::any::{Any, type_name};
use std::sync::Arc;
use wasmtime::component::HasData;

/// What a host function of any interface works on.
pub struct Host<'a>(pub(crate) &'a mut State);

/// Tells wasmtime that host functions work on [`Host`].
pub struct HostData;

impl HasData for HostData {
    type Data<'a> = Host<'a>;
}

/// A service behind an interface, as it is kept in an instance's extensions.
pub(crate) struct Service<T: ?Sized>(pub(crate) Arc<T>);

impl Host<'_> {
    /// The service of this type. It is missing only where a plugin of one kind was
    /// started with the services of another, which is the host's mistake.
    pub(crate) fn service<T: ?Sized + Send + Sync + 'static>(&self) -> wasmtime::Result<Arc<T>>
    where
        Service<T>: Any + Send,
    {
        self.0
            .extensions()
            .get::<Service<T>>()
            .map(|service| Arc::clone(&service.0))
            .ok_or_else(|| missing(type_name::<T>()))
    }
}

/// The host's mistake of not giving an instance what its imports need.
pub(crate) fn missing(what: &str) -> wasmtime::Error {
    wasmtime::Error::new(HostFailure(format!(
        "the instance was started without {what}"
    )))
}

/// Declares the capability of an interface whose functions are implemented on [`Host`].
macro_rules! capability {
    ($name:ident, $interface:literal, $bindings:path) => {
        #[doc = concat!("`", $interface, "`.")]
        pub(crate) struct $name;

        impl cofferdam_runtime::Capability for $name {
            fn interface(&self) -> &'static str {
                $interface
            }

            fn add_to_linker(
                &self,
                linker: &mut wasmtime::component::Linker<cofferdam_runtime::State>,
            ) -> wasmtime::Result<()> {
                use $bindings as bindings;
                bindings::add_to_linker::<_, crate::host::HostData>(linker, |state| {
                    crate::host::Host(state)
                })
            }
        }
    };
}

pub(crate) use capability;
