//! What a request costs at a real `serve`: requests a second and how long one takes, over
//! kept connections of HTTP/1.1 on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a measuring program ends at the first thing that is wrong"
)]

use cofferdam_tests::site::Site;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
/// Connections, each used by a thread of its own.
const CONNECTIONS: usize = 8;
/// Requests of a connection in a round.
const REQUESTS: usize = 500;
/// Runs that a list is made of.
const RUNS: usize = 20;

const RATES: &str = "
[server]
token-rate = { per-second = 1000000, burst = 1000000 }
address-rate = { per-second = 1000000, burst = 1000000 }
";

const ECHO: &str = "name: echo\nsteps:\n  - { id: s, uses: command, approval: true, with: { tool: sh, args: [-c, 'true'] } }\n";

/// Sends requests one after the other and reads each answer whole.
fn ask(address: &str, token: &str, path: &str) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\r\n");
    let mut took = Vec::with_capacity(REQUESTS);
    for _ in 0..REQUESTS {
        let began = Instant::now();
        stream.write_all(request.as_bytes()).unwrap();
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 200"), "{path}: {line}");
        let mut length = 0;
        loop {
            line.clear();
            answers.read_line(&mut line).unwrap();
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        answers.read_exact(&mut vec![0; length]).unwrap();
        took.push(began.elapsed());
    }
    took
}

/// Requests a second, and the sorted times of all.
fn round(address: &str, token: &str, path: &str) -> (f64, Vec<Duration>) {
    let began = Instant::now();
    let mut all: Vec<Duration> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS)
            .map(|_| scope.spawn(|| ask(address, token, path)))
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    let rate = all.len() as f64 / began.elapsed().as_secs_f64();
    all.sort_unstable();
    (rate, all)
}

fn main() {
    let mut site = Site::embedded();
    let granted = std::fs::read_to_string(site.path("cofferdam.toml")).unwrap();
    site.write("cofferdam.toml", &format!("{granted}{RATES}"));
    site.write("echo.yaml", ECHO);
    site.start();
    for _ in 0..RUNS {
        let _ = site.run(&["run", "echo.yaml", "--detach"]).code(0);
    }
    let (url, token) = site.server();
    let address = url.strip_prefix("http://").unwrap();
    let paths = ["/health/live", "/api/v1/runs?limit=20"];
    let mut rounds = vec![Vec::new(); paths.len()];
    for counted in [false, true, true, true, true, true] {
        for (index, path) in paths.iter().enumerate() {
            let measured = round(address, token, path);
            if counted {
                rounds[index].push(measured);
            }
        }
    }
    println!("{CONNECTIONS} connections, medians of {ROUNDS} rounds of {REQUESTS} requests each");
    println!("{:<28} {:>10} {:>10} {:>10}", "", "a second", "p50", "p99");
    for (path, rounds) in paths.iter().zip(rounds) {
        let mut rates: Vec<f64> = rounds.iter().map(|(rate, _)| *rate).collect();
        rates.sort_by(f64::total_cmp);
        let [p50, p99] = [0.5, 0.99].map(|share| {
            let mut values: Vec<Duration> = rounds
                .iter()
                .map(|(_, took)| took[(took.len() as f64 * share) as usize])
                .collect();
            values.sort_unstable();
            format!("{:.2?}", values[ROUNDS / 2])
        });
        println!("{path:<28} {:>10.0} {p50:>10} {p99:>10}", rates[ROUNDS / 2]);
    }
}
