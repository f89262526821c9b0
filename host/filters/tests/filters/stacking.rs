//! Filters in front of each other, and each kind behind them.

use crate::disks::{Disk, Plain};
use crate::doubles::{
    Double, Guest, Outside, Run, call, filters, fixer, fixer_guest, returned, services, step,
};
use async_trait::async_trait;
use cofferdam_contract::kinds::{Filesystem, Inspector, SessionSlot};
use cofferdam_contract::services::{Devices, Findings, Trees};
use cofferdam_contract::types::{DeviceInfo, Error, ErrorCode, Extent};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const FAIL: &str = "[[filters]]\nfilter = \"error\"\nevery = 1\ncode = \"unavailable\"\n";
const LOG: &str = "[[filters]]\nfilter = \"log\"\n";

#[tokio::test]
async fn the_first_is_nearest_to_the_plugin() {
    // An error between two logs: the nearer one does not see the call, the other does.
    for (text, expected) in [
        (format!("{LOG}{FAIL}"), vec![]),
        (format!("{FAIL}{LOG}"), vec!["call fix: unavailable"]),
        (format!("{LOG}{FAIL}{LOG}"), vec!["call fix: unavailable"]),
        (
            format!("{FAIL}{LOG}{LOG}"),
            vec!["call fix: unavailable"; 2],
        ),
        (format!("{LOG}{LOG}"), vec!["call fix: ok"; 2]),
    ] {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let plugin = fixer("d", move |_, _| {
            counted.fetch_add(1, Ordering::Relaxed);
            async { Ok(()) }
        });
        let plugin = filters(&text).wrap_fixer(plugin).unwrap();
        assert_eq!((plugin.manifest().id.as_str(), plugin.digest()), ("p", "d"));
        let run = Arc::new(Run::default());
        let result = plugin.fix(call(&run), fixer_guest(&Guest::of(&[]))).await;
        assert_eq!(run.messages(), expected, "{text}");
        let fails = text.contains("error");
        assert_eq!(result.is_err(), fails, "{text}");
        assert_eq!(calls.load(Ordering::Relaxed), usize::from(!fails), "{text}");
    }
}

#[tokio::test]
async fn a_rate_in_front_of_an_error_counts_what_the_error_ends() {
    let rate = "[[filters]]\nfilter = \"rate\"\nper-second = 0.001\nexcess = \"refuse\"\n";
    for (text, codes) in [
        (
            format!("{FAIL}{rate}"),
            [ErrorCode::Unavailable, ErrorCode::Limit],
        ),
        (format!("{rate}{FAIL}"), [ErrorCode::Unavailable; 2]),
    ] {
        let plugin = step("d", |_, _, _| async { Ok("{}".to_owned()) });
        let plugin = filters(&text).wrap_step(plugin).unwrap();
        let (run, outside) = (Arc::default(), Arc::default());
        for code in codes {
            let result = plugin.execute(call(&run), services(&outside), "{}").await;
            assert_eq!(result.unwrap_err().code(), code, "{text}");
        }
    }
}

#[tokio::test]
async fn a_filter_is_for_the_functions_it_names() {
    let text = "[[filters]]\nfilter = \"error\"\nevery = 2\nfunctions = [\"execute\"]\n";
    let plugin = step("d", |_, _, _| async { Ok("{}".to_owned()) });
    let plugin = filters(text).wrap_step(plugin).unwrap();
    let (run, outside) = (Arc::new(Run::default()), Arc::new(Outside::default()));
    let mut ends = Vec::new();
    for _ in 0..4 {
        // Not counted.
        let given = services(&outside);
        plugin.validate(call(&run), given, "{}").await.unwrap();
        let result = plugin.execute(call(&run), services(&outside), "{}").await;
        ends.push(result.is_ok());
    }
    assert_eq!(ends, [true, false, true, false]);
}

#[tokio::test]
async fn a_delay_holds_the_call_and_then_lets_it_through() {
    let text = "[[filters]]\nfilter = \"delay\"\nfixed-ms = 20\njitter-ms = 5\nseed = 3\n";
    let plugin = fixer("d", |_, _| async { Ok(()) });
    let plugin = filters(text).wrap_fixer(plugin).unwrap();
    let run = Arc::new(Run::default());
    let began = std::time::Instant::now();
    let guest = Guest::of(&[]);
    plugin.fix(call(&run), fixer_guest(&guest)).await.unwrap();
    // Never shorter, however slow the machine is.
    assert!(began.elapsed() >= Duration::from_millis(20));
    run.cancelled.store(true, Ordering::Relaxed);
    let error = plugin.fix(call(&run), fixer_guest(&guest)).await;
    assert_eq!(error.unwrap_err().code(), ErrorCode::Cancelled);
}

#[tokio::test]
async fn a_log_line_has_sizes_and_outcome_and_no_contents() {
    let plugin = step("d", |_, _, input: String| async move {
        if input.contains("fail") {
            let error = Error::not_found("the secret file is missing");
            return Err(returned("execute", error));
        }
        Ok("{\"answer\":\"secret\"}".to_owned())
    });
    let plugin = filters(LOG).wrap_step(plugin).unwrap();
    let (run, outside) = (Arc::new(Run::default()), Arc::default());
    for input in ["{\"a\":\"secret\"}", "fail"] {
        let given = services(&outside);
        plugin.execute(call(&run), given, input).await.ok();
    }
    // A call that nobody waits for any more has a line too.
    let never = step("d", |_, _, _| std::future::pending());
    let never = filters(LOG).wrap_step(never).unwrap();
    let dropped = never.execute(call(&run), services(&outside), "{}");
    tokio::time::timeout(Duration::from_millis(1), dropped)
        .await
        .unwrap_err();
    let lines = run.lines.lock().unwrap();
    let field = |line: usize, name: &str| lines[line].1[name].clone();
    let outcomes: Vec<String> = (0..3).map(|line| field(line, "outcome")).collect();
    assert_eq!(outcomes, ["ok", "not-found", "abandoned"]);
    assert_eq!(field(0, "bytes-sent"), "14");
    assert_eq!(field(0, "bytes-received"), "19");
    assert_eq!(field(1, "bytes-received"), "0");
    assert!(field(0, "milliseconds").parse::<f64>().is_ok());
    assert!(!format!("{lines:?}").contains("secret"), "{lines:?}");
}

struct NoDevices;

#[async_trait]
impl Devices for NoDevices {
    fn count(&self) -> u32 {
        0
    }
    fn info(&self, _: u32) -> Result<DeviceInfo, Error> {
        Err(Error::not_found("none"))
    }
    async fn read_at(&self, _: u32, _: u64, _: u32) -> Result<Vec<u8>, Error> {
        Err(Error::not_found("none"))
    }
    async fn write_at(&self, _: u32, _: u64, _: &[u8]) -> Result<(), Error> {
        Err(Error::not_found("none"))
    }
    async fn flush(&self, _: u32) -> Result<(), Error> {
        Err(Error::not_found("none"))
    }
    async fn extents(&self, _: u32, _: u64, _: u64) -> Result<Vec<Extent>, Error> {
        Err(Error::not_found("none"))
    }
}

#[tokio::test]
async fn each_function_of_a_file_system_passes_the_filters() {
    let text = format!(
        "{LOG}[[filters]]\nfilter = \"error\"\nevery = 1\ncode = \"corrupt\"\nfunctions = [\"commit\"]\n"
    );
    let plugin: Arc<dyn Filesystem> = Arc::new(Plain(Double::new("d")));
    let plugin = filters(&text).wrap_filesystem(plugin).unwrap();
    let run = Arc::new(Run::default());
    let opened = plugin.open(call(&run), Arc::new(NoDevices), SessionSlot::unlimited());
    let tree = opened.await.unwrap();
    assert_eq!(tree.read_at("/a", 0, 5).await.unwrap().len(), 5);
    tree.write_at("/a", 0, b"123").await.unwrap();
    tree.stat("/a").await.unwrap_err();
    assert_eq!(tree.commit().await.unwrap_err().code(), ErrorCode::Corrupt);
    assert_eq!(
        run.messages(),
        [
            "call open: ok",
            "call read-at: ok",
            "call write-at: ok",
            "call stat: not-found"
        ]
    );
    let lines = run.lines.lock().unwrap();
    assert_eq!(lines[1].1["bytes-received"], "5");
    assert_eq!(lines[2].1["bytes-sent"], "5");
}

#[tokio::test]
async fn inspectors_and_what_they_find_pass_the_filters() {
    let disk = Arc::new(Disk {
        os_release: "debian".to_owned(),
        facts: Mutex::default(),
    });
    let plugin: Arc<dyn Inspector> = Arc::new(Plain(Double::new("d")));
    let plugin = filters(LOG).wrap_inspector(plugin).unwrap();
    let run = Arc::new(Run::default());
    let trees = Arc::clone(&disk) as Arc<dyn Trees>;
    let findings = Arc::clone(&disk) as Arc<dyn Findings>;
    plugin.inspect(call(&run), trees, findings).await.unwrap();
    assert_eq!(run.messages(), ["call inspect: ok"]);
    assert_eq!(disk.facts.lock().unwrap().len(), 1);
}
