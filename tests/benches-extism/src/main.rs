//! Calls through Extism, timed on request; see this folder's README.

mod library;

use library::{Compiled, Library};
use std::io::BufRead as _;
use std::time::{Duration, Instant};

/// How long one way is repeated for one answer.
const SPELL: Duration = Duration::from_millis(100);

/// A plugin whose output is its input.
const ECHO: &str = r#"(module
  (import "extism:host/env" "input_length" (func $length (result i64)))
  (import "extism:host/env" "input_load_u8" (func $load8 (param i64) (result i32)))
  (import "extism:host/env" "input_load_u64" (func $load64 (param i64) (result i64)))
  (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
  (import "extism:host/env" "store_u8" (func $store8 (param i64 i32)))
  (import "extism:host/env" "store_u64" (func $store64 (param i64 i64)))
  (import "extism:host/env" "output_set" (func $output (param i64 i64)))
  (memory (export "memory") 17)
  (data (i32.const 1048576) "data")
  (func (export "execute") (result i32)
    (local $i i32) (local $at i64) (local $length i64) (local $whole i64) (local $to i64)
    (loop $touch
      (i64.store (i32.add (i32.const 524288) (i32.mul (local.get $i) (i32.const 4096))) (i64.const 7))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $touch (i32.lt_u (local.get $i) (i32.const 8))))
    (local.set $length (call $length))
    (local.set $whole (i64.and (local.get $length) (i64.const -8)))
    (block $read (loop $in
      (br_if $read (i64.ge_u (local.get $at) (local.get $whole)))
      (i64.store (i32.add (i32.const 65536) (i32.wrap_i64 (local.get $at)))
        (call $load64 (local.get $at)))
      (local.set $at (i64.add (local.get $at) (i64.const 8)))
      (br $in)))
    (block $rest (loop $in
      (br_if $rest (i64.ge_u (local.get $at) (local.get $length)))
      (i32.store8 (i32.add (i32.const 65536) (i32.wrap_i64 (local.get $at)))
        (call $load8 (local.get $at)))
      (local.set $at (i64.add (local.get $at) (i64.const 1)))
      (br $in)))
    (local.set $to (call $alloc (local.get $length)))
    (local.set $at (i64.const 0))
    (block $written (loop $out
      (br_if $written (i64.ge_u (local.get $at) (local.get $whole)))
      (call $store64 (i64.add (local.get $to) (local.get $at))
        (i64.load (i32.add (i32.const 65536) (i32.wrap_i64 (local.get $at)))))
      (local.set $at (i64.add (local.get $at) (i64.const 8)))
      (br $out)))
    (block $rest (loop $out
      (br_if $rest (i64.ge_u (local.get $at) (local.get $length)))
      (call $store8 (i64.add (local.get $to) (local.get $at))
        (i32.load8_u (i32.add (i32.const 65536) (i32.wrap_i64 (local.get $at)))))
      (local.set $at (i64.add (local.get $at) (i64.const 1)))
      (br $out)))
    (call $output (local.get $to) (local.get $length))
    (i32.const 0)))"#;

type Failure = Box<dyn std::error::Error>;

/// The median time of one.
fn spell(mut call: impl FnMut() -> Result<(), Failure>) -> Result<Duration, Failure> {
    let mut took = Vec::new();
    let began = Instant::now();
    while began.elapsed() < SPELL {
        let at = Instant::now();
        call()?;
        took.push(at.elapsed());
    }
    took.sort_unstable();
    Ok(took.get(took.len() / 2).copied().unwrap_or_default())
}

fn answer(compiled: &Compiled<'_>, question: &str) -> Result<Duration, Failure> {
    let (way, bytes) = question
        .split_once(' ')
        .ok_or("fresh BYTES or warm BYTES")?;
    let input = vec![b'x'; bytes.trim().parse()?];
    let check = |length: usize| {
        if length == input.len() {
            Ok(())
        } else {
            Err(Failure::from(format!("{length} bytes came back")))
        }
    };
    match way {
        "fresh" => spell(|| check(compiled.start()?.call(c"execute", &input)?)),
        _ => {
            let mut plugin = compiled.start()?;
            spell(|| check(plugin.call(c"execute", &input)?))
        }
    }
}

fn main() -> Result<(), Failure> {
    let path =
        std::env::var_os("EXTISM_LIBRARY").ok_or("EXTISM_LIBRARY is not set; see README.md")?;
    let library = Library::load(path.as_ref())?;
    let file = std::env::temp_dir().join(format!("extism-echo-{}.wasm", std::process::id()));
    std::fs::write(&file, wat::parse_str(ECHO)?)?;
    // Limits, as ours has them.
    let manifest = format!(
        "{{\"wasm\":[{{\"path\":{:?}}}],\"memory\":{{\"max_pages\":1024}},\"timeout_ms\":60000}}",
        file.display().to_string()
    );
    let compiled = library.compile(manifest.as_bytes());
    std::fs::remove_file(&file)?;
    let compiled = compiled?;
    for question in std::io::stdin().lock().lines() {
        println!("{}", answer(&compiled, &question?)?.as_nanos());
    }
    Ok(())
}
