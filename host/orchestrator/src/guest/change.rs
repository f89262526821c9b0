//! What edits come to, path by path, for people and for digests.

use super::content::Content;
use super::edits::{Edit, Operation};
use super::model::Model;
use cofferdam_contract::types::Error;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::time::Duration;

/// Largest file that is shown as a diff, bytes; a larger one gets a summary.
const LARGEST_DIFF: u64 = 1 << 20;

/// After this long a diff is finished coarsely: texts can be made to take for ever.
const LONGEST_DIFF: Duration = Duration::from_secs(5);

/// What a regular file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDigest {
    /// Bytes.
    pub size: u64,
    /// Sha256, lower-case hexadecimal.
    pub sha256: String,
}

/// One edit, as plans and reports hold it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditRecord {
    /// Id of the fixer.
    pub fixer: String,
    /// What is done, as the contract names it.
    pub operation: String,
    /// To what, in the guest.
    pub path: String,
    /// What operation and path do not say; empty where nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Why.
    pub reason: String,
    /// The file before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<FileDigest>,
    /// The file after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<FileDigest>,
}

/// Everything that happens to one path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathChange {
    /// The path in the guest.
    pub path: String,
    /// Numbers of its edits in the plan's list, from 0.
    pub edits: Vec<usize>,
    /// A unified diff from the first edit's before to the last one's after, for text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
    /// One line on what a diff does not show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
}

/// Sums the edits up. Reads the files before and after, from the model.
///
/// # Errors
/// What reading says.
pub async fn summarize(
    model: &mut Model,
    edits: &[Edit],
) -> Result<(Vec<EditRecord>, Vec<PathChange>), Error> {
    let mut records: Vec<EditRecord> = Vec::new();
    let mut changes: Vec<PathChange> = Vec::new();
    let mut place: HashMap<&str, usize> = HashMap::new();
    // By path, and only while the path still leads to the same content: renames and other
    // names of a file change what is behind a path.
    let mut last: HashMap<&str, (&Content, FileDigest)> = HashMap::new();
    for (number, edit) in edits.iter().enumerate() {
        let before = match (last.get(edit.path.as_str()), &edit.before) {
            (Some((content, known)), Some(before)) if content.is_same(before) => {
                Some(known.clone())
            }
            _ => digest(model, edit.before.as_ref()).await?,
        };
        let after = match edit.operation {
            Operation::SetAttributes { .. } | Operation::SetXattr { .. } => before.clone(),
            _ => digest(model, edit.after.as_ref()).await?,
        };
        match (&edit.after, &after) {
            (Some(content), Some(digest)) => last.insert(&edit.path, (content, digest.clone())),
            _ => last.remove(edit.path.as_str()),
        };
        records.push(EditRecord {
            fixer: edit.fixer.clone(),
            operation: edit.operation.name().to_owned(),
            path: edit.path.clone(),
            detail: edit.operation.detail(),
            reason: edit.reason.clone(),
            before,
            after,
        });
        let at = *place.entry(&edit.path).or_insert_with(|| {
            changes.push(PathChange {
                path: edit.path.clone(),
                edits: Vec::new(),
                diff: None,
                summary: None,
            });
            changes.len() - 1
        });
        if let Some(change) = changes.get_mut(at) {
            change.edits.push(number);
        }
    }
    for change in &mut changes {
        let own: Vec<&Edit> = change
            .edits
            .iter()
            .filter_map(|number| edits.get(*number))
            .collect();
        describe(model, change, &own).await?;
    }
    Ok((records, changes))
}

async fn digest(model: &mut Model, content: Option<&Content>) -> Result<Option<FileDigest>, Error> {
    Ok(match content {
        None => None,
        Some(content) => Some(FileDigest {
            size: content.len(),
            sha256: model.digest(content).await?,
        }),
    })
}

async fn describe(
    model: &mut Model,
    change: &mut PathChange,
    edits: &[&Edit],
) -> Result<(), Error> {
    let (Some(first), Some(last)) = (edits.first(), edits.last()) else {
        return Ok(());
    };
    let metadata: Vec<String> = edits
        .iter()
        .filter(|edit| {
            !matches!(
                edit.operation,
                Operation::Write | Operation::Append { .. } | Operation::Patch { .. }
            )
        })
        .map(|edit| format!("{} {}", edit.operation.name(), edit.operation.detail()))
        .map(|text| text.trim_end().to_owned())
        .collect();
    let mut summary = metadata;
    let content_edited = edits.iter().any(|edit| {
        !matches!(
            edit.operation,
            Operation::SetAttributes { .. } | Operation::SetXattr { .. } | Operation::Link { .. }
        )
    });
    if content_edited {
        let before = text(model, first.before.as_ref()).await?;
        let after = text(model, last.after.as_ref()).await?;
        match (before, after) {
            (Some(before), Some(after)) => {
                let diff = unified(&change.path, &before, &after);
                if !diff.is_empty() {
                    change.diff = Some(diff);
                }
            }
            _ => summary.push(binary_summary(edits, first, last)),
        }
    }
    if !summary.is_empty() {
        change.summary = Some(summary.join("; "));
    }
    Ok(())
}

fn binary_summary(edits: &[&Edit], first: &Edit, last: &Edit) -> String {
    let size = |content: &Option<Content>| content.as_ref().map_or(0, Content::len);
    let appended: usize = edits
        .iter()
        .map(|edit| match &edit.operation {
            Operation::Append { bytes, .. } => bytes.len(),
            _ => 0,
        })
        .sum();
    let only_appended = edits
        .iter()
        .all(|edit| matches!(edit.operation, Operation::Append { .. }));
    let sizes = format!(
        "binary, {} bytes before, {} bytes after",
        size(&first.before),
        size(&last.after)
    );
    if only_appended {
        format!("{sizes}: {appended} bytes appended, the rest is unchanged")
    } else {
        sizes
    }
}

/// The content as text; an absent file is empty text, a large or binary one none.
async fn text(model: &mut Model, content: Option<&Content>) -> Result<Option<String>, Error> {
    let Some(content) = content else {
        return Ok(Some(String::new()));
    };
    if content.len() > LARGEST_DIFF {
        return Ok(None);
    }
    let bytes = model.read(content, 0, content.len()).await?;
    if bytes.contains(&0) {
        return Ok(None);
    }
    Ok(String::from_utf8(bytes).ok())
}

fn unified(path: &str, before: &str, after: &str) -> String {
    similar::TextDiff::configure()
        .timeout(LONGEST_DIFF)
        .diff_lines(before, after)
        .unified_diff()
        .context_radius(3)
        .header(&format!("a{path}"), &format!("b{path}"))
        .to_string()
}
