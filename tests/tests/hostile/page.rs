//! `docs/security-model.md` names a test for every sentence that says what holds; each must
//! be in the tree.

use crate::cases::CASES;
use crate::siege::ALONE;
use cofferdam_tests::workspace;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The head of a table of sentences and their tests.
const HEAD: &str = "| holds | proved by |";

/// The functions below a folder that are marked as tests.
fn tests_below(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if !["target", ".git"].contains(&name) {
                tests_below(&path, found);
            }
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(&path).unwrap();
            let mut marked = false;
            for line in text.lines().map(str::trim) {
                let words = line.trim_start_matches("async ");
                if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                    marked = true;
                } else if let Some(rest) = words.strip_prefix("fn ") {
                    if marked && let Some((name, _)) = rest.split_once('(') {
                        found.insert(name.to_owned());
                    }
                    marked = false;
                }
            }
        }
    }
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The sentences of a page with the names of their tests.
fn sentences(page: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if line != HEAD {
            continue;
        }
        for row in lines
            .by_ref()
            .skip(1)
            .take_while(|row| row.starts_with('|'))
        {
            let (sentence, proof) = row.trim_matches('|').rsplit_once('|').unwrap();
            let names = quoted(proof).into_iter().map(str::to_owned).collect();
            found.push((sentence.trim().to_owned(), names));
        }
    }
    found
}

#[tokio::test]
async fn every_sentence_of_the_security_model_has_a_test_that_exists() {
    let _beside_others = ALONE.read().await;
    let page = fs::read_to_string(workspace().join("docs/security-model.md")).unwrap();
    let mut known = BTreeSet::new();
    tests_below(&workspace(), &mut known);
    known.extend(CASES.iter().map(|case| case.name.to_owned()));
    let sentences = sentences(&page);
    assert!(sentences.len() >= 20, "{} sentences", sentences.len());
    for (sentence, tests) in sentences {
        assert!(!tests.is_empty(), "nothing proves: {sentence}");
        for test in tests {
            assert!(known.contains(&test), "there is no test {test}: {sentence}");
        }
    }
}

#[test]
fn a_sentence_without_a_test_is_found() {
    let page =
        format!("# Title\n\n{HEAD}\n|---|---|\n| a `b` | `one`, `two` |\n| c | - |\n\n| d | e |\n");
    assert_eq!(
        sentences(&page),
        [
            ("a `b`".to_owned(), vec!["one".to_owned(), "two".to_owned()]),
            ("c".to_owned(), vec![]),
        ]
    );
}
