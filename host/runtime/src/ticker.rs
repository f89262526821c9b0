//! The clock that interrupts guests: it advances the engine's epoch every millisecond.

use std::thread;
use std::time::Duration;
use wasmtime::Engine;

/// How often guests are looked at.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// Starts the thread. It holds the engine weakly and ends when the engine does.
pub(crate) fn start(engine: &Engine) -> std::io::Result<()> {
    let engine = engine.weak();
    thread::Builder::new()
        .name("epoch".to_owned())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                thread::sleep(TICK);
            }
        })
        .map(drop)
}
