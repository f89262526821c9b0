//! What a program finds around it. What this kernel cannot do is in the result's notes, and
//! the test says which part it could not look at.

use crate::common::{Bench, artifact, sh, skip, text};

/// Whether the notes of the operation say that something was not to be had.
fn is_missing(bench: &Bench, what: &str) -> bool {
    let result = std::fs::read_to_string(bench.operation("result.json")).unwrap();
    let result: serde_json::Value = serde_json::from_str(&result).unwrap();
    let notes = result["notes"].as_array().unwrap();
    let missing = notes
        .iter()
        .any(|note| note.as_str().unwrap().contains(what));
    if missing {
        skip(what, "not to be had on this kernel");
    }
    missing
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_is_the_grants() {
    let bench =
        Bench::with("[tool.env]\nprogram = 'env'\n[tool.sh]\nprogram = 'sh'\narguments=['(?s).*']");
    let mut request = sh("");
    request.program = "env".to_owned();
    request.arguments = Vec::new();
    assert_eq!(bench.run(request.clone()).await.unwrap().tail, "");
    let bench = Bench::with(
        "[tool.env]\nprogram = 'env'\nenvironment = { LANG = 'C', TMPDIR = '{work}/tmp' }",
    );
    let work = bench.work().canonicalize().unwrap();
    let expected = format!("LANG=C\nTMPDIR={}/tmp\n", work.display());
    assert_eq!(bench.run(request).await.unwrap().tail, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn its_folder_input_and_limits() {
    let grant = "[tool.sh]\nprogram = 'sh'\narguments = ['(?s).*']\nmemory = '64MiB'\nfile-size = '8KiB'\nopen-files = 32";
    let bench = Bench::with(grant);
    let script = "pwd; cat; umask; grep NoNewPrivs /proc/self/status | tr -s '\\t ' ' '
        grep -E '^Max (data|file size|core|open)' /proc/self/limits | tr -s ' ' | sort";
    let ended = bench.sh(script).await.unwrap();
    let work = bench.work().canonicalize().unwrap();
    let expected = format!(
        "{}
0077
NoNewPrivs: 1
Max core file size 0 0 bytes \nMax data size 67108864 67108864 bytes \nMax file size 8192 8192 bytes \nMax open files 32 32 files \n",
        work.display()
    );
    assert_eq!(ended.tail, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_longer_than_granted_ends_it() {
    let grant = "[tool.sh]\nprogram = 'sh'\narguments = ['(?s).*']\nfile-size = '8KiB'";
    let bench = Bench::with(grant);
    let ended = bench.sh("exec cat /dev/zero > long").await.unwrap();
    assert_eq!(ended.signal, Some(25), "{ended:?}");
    assert_eq!(
        std::fs::metadata(bench.work().join("long")).unwrap().len(),
        8 << 10
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn writing_is_for_its_folder_and_what_it_was_given() {
    let bench = Bench::new();
    let outside = bench.state.join("outside");
    std::fs::write(&outside, "before").unwrap();
    let (given, shown) = (
        bench.state.join("runs/r/given"),
        bench.state.join("inputs/shown"),
    );
    for file in [&given, &shown] {
        std::fs::write(file, "before").unwrap();
    }
    let artifacts = &bench.runner.artifacts;
    let reference = artifacts.add(&given, "given").await.unwrap();
    let mut request = sh("");
    request.arguments = vec![
        text("-c"),
        text(&format!(
            "echo in > inside; echo out > {0}; rm -f {0}; echo given > \"$0\"; echo shown > \"$1\"; cat \"$1\"; echo > /dev/null || echo null",
            outside.display()
        )),
        artifact(&reference, "{}", true),
        artifact("artifact:inputs/shown", "{}", false),
    ];
    let ended = bench.run(request).await.unwrap();
    assert_eq!(
        std::fs::read_to_string(bench.work().join("inside")).unwrap(),
        "in\n"
    );
    assert_eq!(std::fs::read_to_string(&given).unwrap(), "given\n");
    if is_missing(&bench, "no landlock") {
        return;
    }
    assert!(
        ended.tail.contains("before") && !ended.tail.contains("null"),
        "{ended:?}"
    );
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "before");
    assert_eq!(std::fs::read_to_string(&shown).unwrap(), "before");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_grant_there_is_no_network() {
    let script = "readlink /proc/self/ns/net; cat /proc/net/route";
    let outer = std::fs::read_link("/proc/self/ns/net").unwrap();
    let outer = outer.to_string_lossy();
    let bench = Bench::with("[tool.sh]\nprogram = 'sh'\narguments = ['(?s).*']\nnetwork = true");
    let ended = bench.sh(script).await.unwrap();
    assert_eq!(ended.tail.lines().next(), Some(&*outer), "{ended:?}");
    let bench = Bench::new();
    let ended = bench.sh(script).await.unwrap();
    if !is_missing(&bench, "namespace") {
        assert_ne!(ended.tail.lines().next(), Some(&*outer), "{ended:?}");
        assert_eq!(
            ended.tail.lines().skip(2).count(),
            0,
            "no routes: {ended:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn root_has_rights_over_files_only() {
    let bench = Bench::new();
    let ended = bench.sh("grep CapEff /proc/self/status").await.unwrap();
    let effective = ended.tail.trim().rsplit('\t').next().unwrap();
    let effective = u64::from_str_radix(effective, 16).unwrap();
    // CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID: the first five (capabilities(7)).
    assert_eq!(effective & !0b1_1111, 0, "{ended:?}");
}
