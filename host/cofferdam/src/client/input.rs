//! Inputs as they are typed.

use super::problem::ClientError;
use anyhow::{Context, Result, bail};
use cofferdam_orchestrator::runs::workflow::InputType;
use cofferdam_orchestrator::runs::workflow::parse::parse;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// The largest workflow or inputs file that is read, in bytes; the API takes no larger body.
const MAX_FILE: u64 = 8 << 20;

/// A workflow as it was named: the text of a file, or the name of a saved one.
#[derive(Debug, PartialEq, Eq)]
pub enum WorkflowArgument {
    /// A file's YAML text.
    File {
        /// The file, as it was named.
        file: String,
        /// What is in it.
        text: String,
    },
    /// The saved workflow's name.
    Named(String),
}

impl WorkflowArgument {
    /// Reads the file where the argument is one: `-`, a name with a slash or an ending
    /// `.yaml` or `.yml`. Anything else is the name of a saved workflow, whatever files
    /// the current folder has.
    pub fn read(argument: &str) -> Result<Self> {
        let is_file = argument == "-"
            || argument.contains('/')
            || [".yaml", ".yml"]
                .iter()
                .any(|ending| argument.ends_with(ending));
        if is_file {
            return Ok(Self::File {
                file: argument.to_owned(),
                text: read_text(argument)?,
            });
        }
        Ok(Self::Named(argument.to_owned()))
    }

    /// As the API takes it.
    pub fn choice(&self) -> Value {
        match self {
            Self::File { text, .. } => json!({"source": text}),
            Self::Named(name) => json!({"name": name}),
        }
    }

    /// The host knows a file's text only, and says `workflow:4:5: ...`; whoever wrote the
    /// file looks for its name.
    pub fn blamed(&self, mut error: ClientError) -> ClientError {
        if let (Self::File { file, .. }, ClientError::Problem(problem)) = (self, &mut error) {
            let lines = problem
                .detail
                .lines()
                .map(|line| match line.strip_prefix("workflow:") {
                    Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => {
                        format!("{file}:{rest}")
                    }
                    _ => line.to_owned(),
                });
            problem.detail = lines.collect::<Vec<_>>().join("\n");
        }
        error
    }
}

/// The text of a file, or of standard input for `-`.
pub fn read_text(file: &str) -> Result<String> {
    let mut bytes = Vec::new();
    if file == "-" {
        std::io::stdin()
            .lock()
            .take(MAX_FILE + 1)
            .read_to_end(&mut bytes)
            .context("cannot read standard input")?;
    } else {
        std::fs::File::open(file)
            .and_then(|open| open.take(MAX_FILE + 1).read_to_end(&mut bytes))
            .with_context(|| format!("cannot read {file}"))?;
    }
    if bytes.len() as u64 > MAX_FILE {
        bail!("{file} is larger than {MAX_FILE} bytes");
    }
    String::from_utf8(bytes).with_context(|| format!("{file} is not UTF-8 text"))
}

/// What the inputs of a workflow are, by name. Empty where that is not known; the host then
/// says what is wrong with the workflow.
pub type InputKinds = BTreeMap<String, InputType>;

/// The inputs that a workflow's text declares.
pub fn kinds(text: &str) -> InputKinds {
    match parse("workflow", text) {
        Ok(file) => file
            .inputs
            .iter()
            .map(|(name, definition)| (name.clone(), definition.kind))
            .collect(),
        Err(_) => InputKinds::new(),
    }
}

/// The name in a workflow's text; the error says what is wrong with the text.
pub fn name(file: &str, text: &str) -> Result<String> {
    Ok(parse(file, text)?.name.value)
}

/// The inputs of a file and of `NAME=VALUE` pairs, which win. Where the host's files are
/// this program's, files are relative to `folder`.
pub fn inputs(
    file: Option<&Path>,
    pairs: &[String],
    kinds: &InputKinds,
    folder: Option<&Path>,
) -> Result<Value> {
    let mut inputs = match file {
        Some(file) => {
            let text = read_text(&file.to_string_lossy())?;
            let read: Value = serde_json::from_str(&text)
                .with_context(|| format!("{} is not JSON", file.display()))?;
            match read {
                Value::Object(read) => read,
                _ => bail!("{} is not a JSON object of inputs", file.display()),
            }
        }
        None => Map::new(),
    };
    for pair in pairs {
        let (name, value) = split(pair, "--input", "--input size=3")?;
        let value = match kinds.get(name) {
            // The host reads numbers and booleans out of texts.
            Some(kind) if *kind != InputType::Json => json!(value),
            _ => serde_json::from_str(value).unwrap_or_else(|_| json!(value)),
        };
        inputs.insert(name.to_owned(), value);
    }
    if let Some(folder) = folder {
        for (name, value) in &mut inputs {
            if kinds.get(name) == Some(&InputType::File)
                && let Value::String(path) = value
                && !path.is_empty()
            {
                *value = json!(folder.join(path.as_str()));
            }
        }
    }
    Ok(Value::Object(inputs))
}

/// Labels of `NAME=VALUE` pairs.
pub fn labels(pairs: &[String]) -> Result<Value> {
    let mut labels = Map::new();
    for pair in pairs {
        let (name, value) = split(pair, "--label", "--label team=storage")?;
        labels.insert(name.to_owned(), json!(value));
    }
    Ok(Value::Object(labels))
}

fn split<'t>(pair: &'t str, option: &str, example: &str) -> Result<(&'t str, &'t str)> {
    match pair.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name, value)),
        _ => bail!("{option} {pair:?} is not NAME=VALUE, as in {example}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_win_over_the_file_and_take_json_or_text() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), r#"{"size": 1, "kept": true}"#).unwrap();
        let pairs = ["size=3", "name=a b", "empty=", "list=[1]", "eq=a=b"].map(str::to_owned);
        assert_eq!(
            inputs(Some(file.path()), &pairs, &InputKinds::new(), None).unwrap(),
            json!({"size": 3, "kept": true, "name": "a b", "empty": "", "list": [1], "eq": "a=b"})
        );
        for wrong in ["size", "=3"] {
            let pairs = [wrong.to_owned()];
            assert!(
                inputs(None, &pairs, &InputKinds::new(), None).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn what_the_workflow_declares_decides_how_a_value_is_read() {
        let kinds = kinds(
            "name: x\ninputs:\n  s: {type: string}\n  j: {type: json}\n  f: {type: file}\n  g: {type: file}\nsteps: [{id: a, uses: command}]\n",
        );
        assert_eq!(kinds.len(), 4);
        let pairs = ["s=3", "j=3", "f=disk.img", "g=/abs"].map(str::to_owned);
        let folder = Some(Path::new("/here"));
        assert_eq!(
            inputs(None, &pairs, &kinds, folder).unwrap(),
            json!({"s": "3", "j": 3, "f": "/here/disk.img", "g": "/abs"})
        );
        let remote = inputs(None, &pairs, &kinds, None).unwrap();
        assert_eq!(remote["f"], "disk.img");
    }

    #[test]
    fn a_bare_name_is_a_saved_workflow() {
        let named = WorkflowArgument::read("nightly").unwrap();
        assert_eq!(named, WorkflowArgument::Named("nightly".into()));
        assert!(WorkflowArgument::read("./nothing-here.yaml").is_err());
        assert!(WorkflowArgument::read("nothing-here.yml").is_err());
    }
}
