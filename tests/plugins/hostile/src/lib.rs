//! A step that tries what the standard library offers for reaching out.
//!
//! **Problem.** Every language's standard library imports WASI, so WASI is linked; that it is
//! inert is only shown by a guest that uses it with intent.
//!
//! **Design.** The input names one attack. What an attack got hold of is the step's error, so
//! that a step that ends well reached nothing.
//!
//! **Limits.** For the tests. Run natively it would reach what its user can.

use cofferdam_sdk::step::StepPlan;
use cofferdam_sdk::{Context, Error, ErrorCode, Result, StepHost, WorkflowStep};
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::Duration;

/// The step.
pub struct Hostile;

/// What is tried.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attack {
    /// Connects to the machine itself by every notation, and to names that resolve to it.
    Connect,
    /// Listens for connections.
    Listen,
    /// Sends datagrams.
    Datagrams,
    /// Opens, lists, makes and removes files.
    Files,
    /// Reads environment, arguments, folder and standard input.
    Environment,
    /// Starts threads and programs.
    Start,
    /// Ends the process.
    Exit,
    /// Panics while it panics.
    Panic,
    /// Takes memory until there is none.
    Allocate,
    /// Formats a text of 2 GiB.
    Format,
    /// Sleeps for a day.
    Sleep,
    /// Prints without end.
    Print,
    /// Nests a value until dropping it overflows the stack.
    Nest,
}

/// What a workflow gives the step.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    attack: Attack,
    /// A port that somebody listens on.
    #[serde(default)]
    port: u16,
}

/// Nothing was reached.
#[derive(Debug, Serialize, Deserialize)]
pub struct Output {
    /// How many ways were tried.
    tried: usize,
}

impl WorkflowStep for Hostile {
    type Input = Input;
    type Output = Output;

    fn plan(_: &dyn Context, input: &Input) -> Result<StepPlan> {
        Ok(StepPlan::new(format!("Tries {:?}", input.attack)))
    }

    fn execute(_: &mut impl StepHost, input: Input) -> Result<Output> {
        let mut tries = Tries::default();
        match input.attack {
            Attack::Connect => connect(&mut tries, input.port),
            Attack::Listen => listen(&mut tries),
            Attack::Datagrams => datagrams(&mut tries, input.port),
            Attack::Files => files(&mut tries),
            Attack::Environment => environment(&mut tries),
            Attack::Start => start(&mut tries),
            Attack::Exit => std::process::exit(0),
            Attack::Panic => {
                let _guard = PanicsWhenDropped;
                std::hint::black_box(None::<u8>).map_or_else(abort, drop);
            }
            Attack::Allocate => allocate(),
            Attack::Format => {
                drop(format!("{:width$}", "", width = 0xffff).repeat(std::hint::black_box(0x7fff)))
            }
            Attack::Sleep => std::thread::sleep(Duration::from_secs(86_400)),
            Attack::Print => loop {
                println!("{:100}", "");
                eprintln!("{:100}", "");
            },
            Attack::Nest => drop(nested()),
        }
        tries.end()
    }
}

/// What was tried, and what got through.
#[derive(Default)]
struct Tries {
    tried: usize,
    reached: Vec<String>,
}

impl Tries {
    /// A way that must fail.
    fn way<T, E>(&mut self, what: &str, outcome: std::result::Result<T, E>) {
        self.must_not(what, outcome.is_ok());
    }

    /// A thing that must not be.
    fn must_not(&mut self, what: &str, is: bool) {
        self.tried += 1;
        if is {
            self.reached.push(what.to_owned());
        }
    }

    fn end(self) -> Result<Output> {
        if self.reached.is_empty() {
            return Ok(Output { tried: self.tried });
        }
        Err(Error::new(
            ErrorCode::Denied,
            format!("reached {}", self.reached.join(", ")),
        ))
    }
}

/// Addresses of this machine, of the network it is in, and of a cloud's metadata.
const ADDRESSES: [&str; 12] = [
    "127.0.0.1",
    "127.1.2.3",
    "0.0.0.0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[fe80::1]",
    "169.254.169.254",
    "10.0.0.1",
];

/// Names that resolve to the machine itself, here or in anybody's DNS.
const NAMES: [&str; 5] = [
    "localhost",
    "localhost.",
    "ip6-localhost",
    "127.0.0.1.nip.io",
    "localtest.me",
];

fn connect(tries: &mut Tries, port: u16) {
    for address in ADDRESSES {
        let place = format!("{address}:{port}");
        let outcome = place
            .parse()
            .map_err(std::io::Error::other)
            .and_then(|place| TcpStream::connect_timeout(&place, Duration::from_millis(200)));
        tries.way(&place, outcome);
    }
    for name in NAMES {
        tries.way(name, (name, port).to_socket_addrs());
        tries.way(name, TcpStream::connect((name, port)));
    }
}

fn listen(tries: &mut Tries) {
    for address in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"] {
        tries.way(address, TcpListener::bind(address));
    }
}

fn datagrams(tries: &mut Tries, port: u16) {
    for address in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0"] {
        let bound = UdpSocket::bind(address);
        tries.must_not(address, bound.is_ok());
        for target in ADDRESSES {
            let sent = bound
                .as_ref()
                .is_ok_and(|socket| socket.send_to(b"x", format!("{target}:{port}")).is_ok());
            tries.must_not(target, sent);
        }
    }
}

fn files(tries: &mut Tries) {
    for path in [
        "/",
        ".",
        "..",
        "/etc",
        "/proc/self",
        "../../../../../../..",
        "/tmp",
    ] {
        tries.way(path, std::fs::read_dir(path));
        tries.way(path, std::fs::metadata(path));
    }
    for path in [
        "/etc/passwd",
        "etc/passwd",
        "../../../../etc/passwd",
        "/proc/self/environ",
        "/dev/null",
        "/etc/passwd\0",
    ] {
        tries.way(path, std::fs::read(path));
        tries.way(path, std::fs::canonicalize(path));
    }
    for path in ["/tmp/hostile", "hostile", "./hostile"] {
        tries.way(path, std::fs::write(path, b"x"));
        tries.way(path, std::fs::create_dir(path));
        tries.way(path, std::fs::hard_link("/etc/passwd", path));
        tries.way(path, std::fs::rename("/etc/hostname", path));
        tries.way(path, std::fs::remove_file(path));
    }
}

fn environment(tries: &mut Tries) {
    tries.must_not("the environment", std::env::vars_os().next().is_some());
    tries.must_not("an argument", std::env::args_os().next().is_some());
    tries.must_not("HOME", std::env::var_os("HOME").is_some());
    tries.way("the program's path", std::env::current_exe());
    let mut byte = [0];
    let read = std::io::stdin().read(&mut byte);
    tries.must_not("standard input", read.is_ok_and(|bytes| bytes > 0));
    // Taken, and thrown away: a library that logs must not fail for it.
    let _ = std::io::stdout().write_all(b"hostile was here\n");
}

fn start(tries: &mut Tries) {
    let thread = std::thread::Builder::new().spawn(|| ());
    tries.way("a thread", thread);
    for program in ["sh", "/bin/sh", "true"] {
        tries.way(program, std::process::Command::new(program).status());
    }
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        abort();
    }
}

#[expect(clippy::panic, reason = "it is what the attack does")]
fn abort() {
    panic!("{}", "a panic with much to say. ".repeat(10_000));
}

fn allocate() {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    loop {
        kept.push(vec![1; 1 << 20]);
        std::hint::black_box(&kept);
    }
}

/// Something that holds something of its own kind.
struct Nested(#[expect(dead_code, reason = "held to be dropped")] Option<Box<Nested>>);

fn nested() -> Nested {
    let mut outermost = Nested(None);
    for _ in 0..1_000_000 {
        outermost = Nested(Some(Box::new(outermost)));
    }
    outermost
}

cofferdam_sdk::export_workflow_step!(Hostile);
