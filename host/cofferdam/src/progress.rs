//! Progress on standard error: bars on a terminal, a line a stage elsewhere.

use crate::render::safe;
use cofferdam_contract::types::Level;
use cofferdam_disk::{CancelFlag, Progress};
use cofferdam_orchestrator::observer::{Observer, Stage};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};

const COPYING: &str = "{msg} [{bar:40}] {percent}% {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}, {eta} left";

/// A bar for bytes; on what is no terminal it stays silent.
pub fn byte_bar(what: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template(COPYING) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(safe(what));
    bar
}

/// A bar as the progress of a disk operation.
pub struct Bar(pub ProgressBar);

impl Progress for Bar {
    fn update(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
    }
}

/// What the user or the system wants this program to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// Ctrl-C.
    Interrupt,
    /// The system asks to end soon (SIGTERM).
    Terminate,
}

/// The signals that ask to stop, from now on.
pub struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// Takes over both signals for the rest of the program.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// The next one.
    pub async fn next(&mut self) -> Interrupt {
        tokio::select! {
            _ = self.interrupt.recv() => Interrupt::Interrupt,
            _ = self.terminate.recv() => Interrupt::Terminate,
        }
    }
}

/// Sets the flag at the first interrupt; the second ends the program at once.
pub fn cancel_on_interrupt() -> CancelFlag {
    let cancel = CancelFlag::new();
    let flag = cancel.clone();
    // Without handlers the system's default ends the program, as it should.
    let Ok(mut interrupts) = Interrupts::new() else {
        return cancel;
    };
    tokio::spawn(async move {
        interrupts.next().await;
        flag.cancel();
        eprintln!("stopping; once more to end at once");
        interrupts.next().await;
        std::process::exit(i32::from(crate::exit::CANCELLED));
    });
    cancel
}

/// Shows a migration's progress.
pub struct Watcher {
    terminal: bool,
    bar: ProgressBar,
}

impl Watcher {
    /// On standard error.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            terminal: std::io::stderr().is_terminal(),
            bar: byte_bar(""),
        })
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Watcher {
    fn stage(&self, stage: Stage) {
        if self.terminal {
            self.bar.set_length(0);
            self.bar.set_position(0);
            self.bar.set_message(stage.name());
            self.bar.tick();
        } else {
            eprintln!("stage: {}", stage.name());
        }
    }

    fn progress(&self, what: &str, done: u64, total: u64, _unit: &str) {
        self.bar.set_message(safe(what));
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    fn log(&self, plugin: &str, level: Level, message: &str, fields: &[(String, String)]) {
        if matches!(level, Level::Debug | Level::Info) {
            return;
        }
        let fields: String = fields
            .iter()
            .map(|(name, value)| format!(" {name}={value}"))
            .collect();
        let line = safe(&format!("{plugin}: {message}{fields}"));
        if self.terminal {
            self.bar.println(line);
        } else {
            eprintln!("{line}");
        }
    }
}
