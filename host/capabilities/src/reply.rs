//! `cofferdam:reply/reply`: bulk bytes that leave a plugin.

use crate::host::{Host, capability};
use cofferdam_contract::bindings::cofferdam::reply::reply;
use cofferdam_runtime::{Misbehaviour, State};

capability!(
    ReplyCapability,
    "cofferdam:reply/reply@0.1.0",
    cofferdam_contract::bindings::cofferdam::reply::reply
);

/// The answer of the call going on.
#[derive(Default)]
struct Reply {
    bytes: Vec<u8>,
    asked: usize,
}

/// Begins a call that is asked for so many bytes.
pub(crate) fn ask(state: &mut State, asked: usize) {
    state.extensions_mut().insert(Reply {
        bytes: Vec::new(),
        asked,
    });
}

/// The bytes that the call put. Further ones are refused until the next [`ask`].
pub(crate) fn take(state: &mut State) -> Vec<u8> {
    let reply = state.extensions_mut().get_mut::<Reply>();
    reply.map(std::mem::take).unwrap_or_default().bytes
}

impl reply::Host for Host<'_> {
    async fn put(&mut self, mut bytes: Vec<u8>) -> wasmtime::Result<()> {
        let extensions = self.0.extensions_mut();
        let (already, asked) = extensions
            .get::<Reply>()
            .map_or((0, 0), |reply| (reply.bytes.len(), reply.asked));
        if already.saturating_add(bytes.len()) > asked {
            return Err(wasmtime::Error::new(Misbehaviour(format!(
                "it put {} bytes into its reply and was asked for {asked}",
                already.saturating_add(bytes.len())
            ))));
        }
        if let Some(reply) = extensions.get_mut::<Reply>() {
            if reply.bytes.is_empty() {
                reply.bytes = bytes;
            } else {
                reply.bytes.append(&mut bytes);
            }
        }
        Ok(())
    }
}
