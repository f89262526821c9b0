//! Compiling in a child process: what it makes is loaded, and a child that does not do what
//! it should is an error that says so. Each limit alone.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

mod guest;

use cofferdam_contract::failure::{CallError, Limit};
use cofferdam_contract::limits::{HostLimits, LimitOverrides};
use cofferdam_runtime::cache::Cache;
use cofferdam_runtime::compiler::{Compiler, Program};
use cofferdam_runtime::{LoadError, Options};
use guest::{Bench, alone, fixer};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const COMPILER: &str = env!("CARGO_BIN_EXE_cofferdam-compile");

/// No limit of compiling is near.
const GENEROUS: HostLimits = HostLimits {
    component_mib: 64,
    compile_cpu_seconds: 3_600,
    compile_wall_seconds: 3_600,
    compile_memory_mib: 65_536,
};

fn bench(compiler: Compiler, host_limits: HostLimits) -> Bench {
    let options = Options {
        compiler,
        host_limits,
        ..Options::uncached()
    };
    Bench::with(&options, &[])
}

fn real() -> Compiler {
    Compiler::program(PathBuf::from(COMPILER))
}

/// A compiler that is a shell script; `$1` is the request.
fn script(text: &str) -> Compiler {
    Compiler::Child(Program {
        path: PathBuf::from("/bin/sh"),
        arguments: ["-c", text, "sh"].map(Into::into).to_vec(),
    })
}

/// A long function of little meaning; compiling it costs much.
fn heavy() -> Vec<u8> {
    let line = "(local.set $i (i64.xor (i64.mul (local.get $i) (local.get $j))
        (i64.shr_u (local.get $j) (local.get $i))))
        (br_if $out (i64.eq (local.get $i) (local.get $j)))";
    let body = format!(
        "(local $i i64) (local $j i64) (block $out {})",
        line.repeat(150_000)
    );
    fixer("", &body)
}

#[tokio::test]
async fn what_the_child_compiles_runs_and_is_kept() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("components");
    let options = Options {
        compiler: real(),
        cache: Cache::open(&folder),
        ..Options::uncached()
    };
    let first = Bench::with(&options, &[]);
    let code = first.code("guest", &alone(&[]), &fixer("", ""));
    first.fix(&code).await.unwrap().unwrap();
    // With a compiler that does nothing the next one lives on what was kept.
    let second = Bench::with(
        &Options {
            compiler: script("exit 1"),
            ..options
        },
        &[],
    );
    let code = second.code("guest", &alone(&[]), &fixer("", ""));
    second.fix(&code).await.unwrap().unwrap();
    let other = second.code("other", &alone(&[]), &fixer("", "(nop)"));
    assert!(matches!(other.load().await, Err(LoadError::Compiler(_))));
}

#[tokio::test]
async fn what_is_not_valid_is_refused_with_the_compilers_reason() {
    let mut component = fixer("", "(drop (i32.const 77))");
    // `drop` of the constant becomes `i32.add`, which has nothing to add to.
    let at = component
        .windows(4)
        .position(|bytes| bytes == [0x41, 0xcd, 0x00, 0x1a])
        .unwrap();
    component[at + 3] = 0x6a;
    let bench = bench(real(), GENEROUS);
    let code = bench.code("guest", &alone(&[]), &component);
    match code.load().await {
        Err(LoadError::Compile(reason)) => assert!(reason.contains("type mismatch"), "{reason}"),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was loaded"),
    }
}

#[tokio::test]
async fn a_compiler_that_is_killed_crashes_or_lies_is_not_believed() {
    let flip = format!(
        "{COMPILER} compile-component \"$1\" | {{ head -c 200; head -c 1 >/dev/null; echo -n x; cat; }}"
    );
    let cut = format!("{COMPILER} compile-component \"$1\" | head -c 5000");
    let more = format!("{COMPILER} compile-component \"$1\"; echo more");
    // A true answer, about another component.
    let other = tempfile::tempdir().unwrap();
    let file = other.path().join("other.wasm");
    std::fs::write(&file, fixer("", "(nop)")).unwrap();
    let swapped = format!("{COMPILER} compile-component \"$1\" < {}", file.display());
    for (text, expected) in [
        ("kill -9 $$", "it was ended by signal 9"),
        ("kill -SEGV $$", "it was ended by signal 11"),
        ("echo why >&2; exit 3", "it ended with status 3: why"),
        ("exit 0", "its answer cannot be used: it ends early"),
        ("cat", "its answer cannot be used: it is damaged"),
        (
            "exec >&-; exit 0",
            "its answer cannot be used: it ends early",
        ),
        (&flip, "its answer cannot be used: it is damaged"),
        (&cut, "its answer cannot be used: it is damaged"),
        (&more, "its answer cannot be used: it is damaged"),
        (
            &swapped,
            "its answer cannot be used: it is about another component",
        ),
    ] {
        let bench = bench(script(&format!("PATH=/usr/bin:/bin; {text}")), GENEROUS);
        let code = bench.code("guest", &alone(&[]), &fixer("", ""));
        match code.load().await {
            Err(LoadError::Compiler(reason)) => {
                assert!(reason.contains(expected), "{text}: {reason}");
            }
            Err(other) => panic!("{text}: {other:?}"),
            Ok(_) => panic!("{text}: it was loaded"),
        }
        assert_eq!(bench.reached.by_guest(), []);
    }
    let bench = bench(
        Compiler::program(Path::new("/nowhere/compiler").to_owned()),
        GENEROUS,
    );
    let code = bench.code("guest", &alone(&[]), &fixer("", ""));
    let error = code.load().await.err().unwrap().to_string();
    assert!(error.contains("it cannot be started"), "{error}");
}

/// Loads a component and expects to be stopped at a limit, which is the only one reached.
#[track_caller]
fn assert_stopped(result: Result<(), LoadError>, bench: &Bench, expected: Limit, said: &str) {
    match result {
        Err(LoadError::Limit { limit, allowed }) => {
            assert_eq!((limit, allowed.as_str()), (expected, said));
        }
        other => panic!("expected the {expected} limit, got {other:?}"),
    }
    assert_eq!(bench.reached.by_guest(), [expected]);
}

async fn load(bench: &Bench, component: &[u8]) -> Result<(), LoadError> {
    let code = bench.code("guest", &alone(&[]), component);
    code.load().await.map(|_| ())
}

#[test]
fn a_child_is_confined_before_it_reads() {
    // It waits for a component that never comes.
    let mut child = Command::new(COMPILER)
        .args(["compile-component", "pool:1024:77"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let proc = |file: &str| {
        std::fs::read_to_string(format!("/proc/{}/{file}", child.id())).unwrap_or_default()
    };
    let row = |name: &str| {
        let limits = proc("limits");
        let row = limits.lines().find_map(|line| line.strip_prefix(name));
        let row = row.unwrap_or_default().split_whitespace();
        row.take(2).collect::<Vec<_>>().join(" ")
    };
    // The last thing that it gives up is seen last.
    for _ in 0..2_000 {
        if proc("status").contains("NoNewPrivs:\t1") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let found = [
        row("Max address space"),
        row("Max cpu time"),
        row("Max file size"),
        row("Max open files"),
        row("Max core file size"),
    ];
    let confined = proc("status").contains("NoNewPrivs:\t1");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(
        found,
        ["1073741824 1073741824", "77 78", "0 0", "16 16", "0 0"]
    );
    assert!(confined);
}

#[tokio::test]
async fn compile_cpu() {
    let limits = HostLimits {
        compile_cpu_seconds: 1,
        ..GENEROUS
    };
    let bench = bench(real(), limits);
    let result = load(&bench, &heavy()).await;
    assert_stopped(result, &bench, Limit::CompileCpu, "1 s");
}

#[tokio::test]
async fn compile_memory() {
    let limits = HostLimits {
        compile_memory_mib: 256,
        ..GENEROUS
    };
    let bench = bench(real(), limits);
    let result = load(&bench, &heavy()).await;
    assert_stopped(result, &bench, Limit::CompileMemory, "256 MiB");
    // What is not heavy has enough.
    load(&bench, &fixer("", "")).await.unwrap();
}

#[tokio::test]
async fn compile_time_and_whatever_the_compiler_started_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let text = format!(
        "PATH=/usr/bin:/bin; sleep 3600 & echo $! > {0}; echo $$ >> {0}; sleep 3600",
        pids.display()
    );
    let limits = HostLimits {
        compile_wall_seconds: 1,
        ..GENEROUS
    };
    let bench = bench(script(&text), limits);
    let result = load(&bench, &fixer("", "")).await;
    assert_stopped(result, &bench, Limit::CompileTime, "1 s");
    for pid in std::fs::read_to_string(&pids).unwrap().lines() {
        let stat = PathBuf::from(format!("/proc/{pid}/stat"));
        // Whoever inherits it may take a moment to bury it.
        let gone = || {
            std::fs::read_to_string(&stat).map_or(true, |stat| {
                stat.rsplit(')')
                    .next()
                    .unwrap()
                    .trim_start()
                    .starts_with('Z')
            })
        };
        for _ in 0..1_000 {
            if gone() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        assert!(gone(), "process {pid} is still there");
    }
}

/// A small component that is larger than 1 MiB.
fn large() -> Vec<u8> {
    let mut component = fixer("", "");
    // A custom section of 1 MiB with the name `x`.
    let content = vec![0; 1 << 20];
    component.push(0);
    let mut length = content.len() + 2;
    while length >= 0x80 {
        component.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    component.push(u8::try_from(length).unwrap());
    component.extend_from_slice(b"\x01x");
    component.extend_from_slice(&content);
    component
}

#[tokio::test]
async fn component_size() {
    let limits = HostLimits {
        component_mib: 1,
        ..GENEROUS
    };
    let bench = bench(real(), limits);
    let result = load(&bench, &large()).await;
    assert_stopped(result, &bench, Limit::ComponentSize, "1 MiB");
    let other = self::bench(real(), GENEROUS);
    load(&other, &large()).await.unwrap();
}

/// What the operator decided for one plugin counts for it instead of what is for all.
#[tokio::test]
async fn each_limit_can_be_another_for_one_plugin() {
    let nothing = LimitOverrides::default();
    let cases = [
        (
            LimitOverrides {
                component_mib: Some(1),
                ..nothing
            },
            (real(), large()),
            (Limit::ComponentSize, "1 MiB"),
        ),
        (
            LimitOverrides {
                compile_cpu_seconds: Some(1),
                ..nothing
            },
            (real(), heavy()),
            (Limit::CompileCpu, "1 s"),
        ),
        (
            LimitOverrides {
                compile_memory_mib: Some(256),
                ..nothing
            },
            (real(), heavy()),
            (Limit::CompileMemory, "256 MiB"),
        ),
        (
            LimitOverrides {
                compile_wall_seconds: Some(1),
                ..nothing
            },
            (script("exec /bin/sleep 3600"), fixer("", "")),
            (Limit::CompileTime, "1 s"),
        ),
    ];
    for (decided, (compiler, component), (limit, said)) in cases {
        let options = Options {
            compiler,
            host_limits: GENEROUS,
            limits: [("guest".to_owned(), decided)].into(),
            ..Options::uncached()
        };
        let bench = Bench::with(&options, &[]);
        let result = load(&bench, &component).await;
        assert_stopped(result, &bench, limit, said);
    }
    // More for one plugin than for all.
    let options = Options {
        compiler: real(),
        host_limits: HostLimits {
            component_mib: 1,
            ..GENEROUS
        },
        limits: [(
            "guest".to_owned(),
            LimitOverrides {
                component_mib: Some(2),
                ..nothing
            },
        )]
        .into(),
        ..Options::uncached()
    };
    let bench = Bench::with(&options, &[]);
    load(&bench, &large()).await.unwrap();
    let other = bench.code("other", &alone(&[]), &large());
    assert!(matches!(other.load().await, Err(LoadError::Limit { .. })));
}

#[tokio::test]
async fn a_call_that_needed_it_loaded_names_plugin_limit_and_what_to_do() {
    let limits = HostLimits {
        compile_wall_seconds: 1,
        ..GENEROUS
    };
    let bench = bench(script("exec /bin/sleep 3600"), limits);
    let code = bench.code("guest", &alone(&[]), &fixer("", ""));
    let error = cofferdam_runtime::Session::start(
        code,
        bench.run.clone(),
        cofferdam_runtime::Extensions::default(),
        Box::new(()),
    )
    .await
    .err()
    .unwrap();
    assert!(matches!(error, CallError::Limit { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "plugin guest, call load: stopped at its compile-time limit of 1 s; raise \
         `compile-wall-seconds` in [plugins.guest.limits] or, for all plugins, [limits] of \
         cofferdam.toml (at most 3600) if the plugin is to be trusted with more"
    );
}
