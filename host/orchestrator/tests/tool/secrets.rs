//! Secrets that a program is given stay out of its folder and of the journal.

use crate::common::{Bench, sh, text, until};
use cofferdam_contract::services::Tools;
use cofferdam_contract::types::ErrorCode;
use std::path::Path;

const SECRET: &str = "planted/s3cret+value";

/// Every file below `folder` that holds the secret in one of its usual forms.
fn holding(folder: &Path) -> Vec<String> {
    let forms = [
        SECRET.to_owned(),
        hex::encode(SECRET),
        "cGxhbnRlZC9zM2NyZXQrdmFsd".to_owned(),
    ];
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            if forms.iter().any(|form| text.contains(form.as_str())) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

fn knowing() -> Bench {
    let bench = Bench::new();
    bench.runner.redactor.remember(SECRET.as_bytes());
    bench
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_gets_its_secret_and_nobody_keeps_it() {
    let bench = knowing();
    // It compares the secret by its length, and says it in pieces, whole and encoded.
    let script = r#"
        echo "${#1}"
        printf %s "${1%value}"; sleep 0.1; printf '%s\n' "value"
        printf %s "$1" | base64
        printf %s "$1" | od -An -v -tx1 | tr -d ' \n'
        until [ -e go ]; do sleep 0.01; done
    "#;
    let mut request = sh(script);
    request.arguments.extend([text("sh"), text(SECRET)]);
    let running = bench.spawn(request.clone());
    let log = bench.operation("output.log");
    until("the program said all", || {
        std::fs::read_to_string(&log).is_ok_and(|text| text.matches("***").count() >= 2)
    })
    .await;
    // While it runs, too: the folder outlives a host that is killed now.
    assert_eq!(holding(&bench.state), Vec::<String>::new());
    std::fs::write(bench.work().join("go"), "").unwrap();
    let outcome = running.await.unwrap().unwrap();
    assert_eq!(outcome.exit, Some(0));
    assert_eq!(outcome.tail, "20\n***\n***=\n***");
    assert_eq!(holding(&bench.state), Vec::<String>::new());
    assert_eq!(bench.run(request).await.unwrap(), outcome);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expression_may_be_about_a_secret() {
    let bench = knowing();
    let mut request = sh(r#"echo "is $1"; sleep 1000"#);
    request.arguments.extend([text("sh"), text(SECRET)]);
    request.stop_when = vec![format!("is {}", SECRET.replace('+', "\\+"))];
    let outcome = bench.run(request).await.unwrap();
    assert_eq!(outcome.matched, Some(0));
    assert_eq!(holding(&bench.state), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_holds_no_secret() {
    let bench = Bench::new();
    bench.runner.redactor.remember(b"s3cret-name");
    let mut request = sh("touch s3cret-name plain");
    assert_eq!(bench.run(request.clone()).await.unwrap().exit, Some(0));
    request.operation = "my-s3cret-name".to_owned();
    let error = bench.run(request).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Invalid);
    for (file, name) in [("plain", "s3cret-name"), ("s3cret-name", "plain")] {
        let error = bench.runner.keep(file, name).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Invalid, "{file} {name}");
        assert!(!error.message.contains("s3cret"), "{}", error.message);
    }
    bench.runner.keep("plain", "plain").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_argument_is_recognised_in_the_refusal() {
    let bench = Bench::with("[tool.sh]\nprogram = 'sh'\narguments = ['-c']\n");
    let redactor = &bench.runner.redactor;
    let long = "s3cret-".repeat(100);
    redactor.remember(SECRET.as_bytes());
    redactor.remember(long.as_bytes());
    for secret in [SECRET, &long] {
        let error = bench.sh(secret).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Denied);
        let told = format!("{} {}", error.message, error.hint.unwrap_or_default());
        let told = redactor.text(&told);
        assert!(!told.contains("s3cret"), "{told}");
    }
}
