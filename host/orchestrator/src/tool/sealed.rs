//! What a program is given and nobody may find in its operation's folder.
//!
//! A plugin may pass a secret that it was granted as an argument. The spec is a file, so
//! secrets are taken out of it, and what was taken out goes to the supervisor, and from
//! there to the launcher, in their environment, which only the host's user can read
//! (proc(5), `/proc/PID/environ`) and which ends with them. The supervisor gets the secrets
//! themselves too, so that what the program says is kept without them.
//!
//! The program's own command line is another matter: every user of the machine can see it.

use super::folder::Spec;
use crate::redact::Redactor;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;

/// What the variables' names begin with; an index follows.
const SECRET: &str = "COFFERDAM_SECRET_";
const ARGUMENT: &str = "COFFERDAM_ARGUMENT_";
const EXPRESSION: &str = "COFFERDAM_EXPRESSION_";

/// How many bytes of environment the secrets may take: the kernel refuses to start a program
/// with more than a quarter of its stack's limit, 2 MiB as a rule (execve(2)).
const ROOM: usize = 1 << 20;

/// What was taken out of a [`Spec`].
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Sealed {
    secrets: Vec<Vec<u8>>,
    /// Those of [`Spec::arguments`] that hold a secret, by index.
    arguments: BTreeMap<usize, String>,
    /// The same of [`Spec::stop_when`].
    expressions: BTreeMap<usize, String>,
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealed").finish_non_exhaustive()
    }
}

impl Sealed {
    /// Takes what `redactor` knows out of `spec`.
    pub fn of(spec: &mut Spec, redactor: &Redactor) -> Self {
        Self {
            secrets: redactor.secrets(),
            arguments: take(&mut spec.arguments, redactor),
            expressions: take(&mut spec.stop_when, redactor),
        }
    }

    /// Puts back into `spec` what was taken out.
    pub fn restore(&self, spec: &mut Spec) {
        put(&mut spec.arguments, &self.arguments);
        put(&mut spec.stop_when, &self.expressions);
    }

    /// Finds the secrets in what the program says.
    pub fn redactor(&self) -> Redactor {
        let redactor = Redactor::new();
        redactor.remember_all(&self.secrets);
        redactor
    }

    /// The environment that carries this to a supervisor. Where it has no room for all
    /// secrets the longest stay behind.
    pub fn for_supervisor(&self) -> Vec<(String, String)> {
        let carried = |(index, value): (usize, &Vec<u8>)| {
            (format!("{SECRET}{index}"), STANDARD.encode(value))
        };
        let mut secrets: Vec<_> = self.secrets.iter().enumerate().map(carried).collect();
        let length = |(name, value): &(String, String)| name.len().saturating_add(value.len());
        while secrets.iter().map(length).sum::<usize>() > ROOM {
            let longest = secrets
                .iter()
                .enumerate()
                .max_by_key(|(_, each)| length(each));
            let Some((index, _)) = longest else { break };
            secrets.swap_remove(index);
            tracing::warn!(
                "the project has too many long secrets for one program: the longest is not \
                 taken out of its log"
            );
        }
        secrets.into_iter().chain(self.for_launcher()).collect()
    }

    /// The part of it that a launcher needs.
    pub fn for_launcher(&self) -> Vec<(String, String)> {
        let named = |prefix: &'static str, texts: &BTreeMap<usize, String>| -> Vec<_> {
            let texts = texts.iter();
            texts
                .map(|(index, text)| (format!("{prefix}{index}"), text.clone()))
                .collect()
        };
        let mut all = named(ARGUMENT, &self.arguments);
        all.extend(named(EXPRESSION, &self.expressions));
        all
    }

    /// What came in this process' environment.
    ///
    /// # Errors
    /// A variable of these names that does not hold what they hold.
    pub fn from_environment() -> io::Result<Self> {
        Self::from_variables(std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            Some((name, value.into_string().ok()?))
        }))
    }

    fn from_variables(all: impl Iterator<Item = (String, String)>) -> io::Result<Self> {
        let mut sealed = Self::default();
        let index = |text: &str| text.parse::<usize>().map_err(io::Error::other);
        for (name, value) in all {
            if name.starts_with(SECRET) {
                let secret = STANDARD.decode(value).map_err(io::Error::other)?;
                sealed.secrets.push(secret);
            } else if let Some(number) = name.strip_prefix(ARGUMENT) {
                sealed.arguments.insert(index(number)?, value);
            } else if let Some(number) = name.strip_prefix(EXPRESSION) {
                sealed.expressions.insert(index(number)?, value);
            }
        }
        Ok(sealed)
    }
}

fn take(texts: &mut [String], redactor: &Redactor) -> BTreeMap<usize, String> {
    let mut taken = BTreeMap::new();
    for (index, text) in texts.iter_mut().enumerate() {
        if let Cow::Owned(redacted) = redactor.text(text) {
            taken.insert(index, std::mem::replace(text, redacted));
        }
    }
    taken
}

fn put(texts: &mut [String], taken: &BTreeMap<usize, String>) {
    for (index, original) in taken {
        if let Some(text) = texts.get_mut(*index) {
            text.clone_from(original);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::folder::LAYOUT;

    fn spec(arguments: &[&str], stop_when: &[&str]) -> Spec {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Spec {
            layout: LAYOUT,
            key: "k".to_owned(),
            program: "/bin/true".into(),
            arguments: owned(arguments),
            environment: BTreeMap::new(),
            work: "/".into(),
            writable: Vec::new(),
            stop_when: owned(stop_when),
            timeout_ms: 1,
            output: 1,
            memory: 1,
            file_size: 1,
            open_files: 1,
            network: false,
        }
    }

    #[test]
    fn what_is_taken_out_travels_in_the_environment_and_is_put_back() {
        let redactor = Redactor::new();
        redactor.remember(b"hunter2-hunter2");
        redactor.remember(b"\xff\x00\x01binary");
        let whole = spec(
            &["--user", "--password=hunter2-hunter2", "plain"],
            &["login: ", "echo hunter2-hunter2"],
        );
        let mut written = whole.clone();
        let sealed = Sealed::of(&mut written, &redactor);
        let file = serde_json::to_string(&written).unwrap();
        assert!(!file.contains("hunter2"), "{file}");
        assert_eq!(written.arguments[1], "--password=***");

        let carried = sealed.for_supervisor();
        let arrived = Sealed::from_variables(carried.into_iter()).unwrap();
        assert!(arrived == sealed);
        arrived.restore(&mut written);
        assert_eq!(written, whole);
        assert_eq!(arrived.redactor().text("is hunter2-hunter2"), "is ***");

        let carried = sealed.for_launcher();
        assert!(carried.iter().all(|(name, _)| !name.starts_with(SECRET)));
        assert!(!format!("{sealed:?}").contains("hunter2"));
    }

    #[test]
    fn without_secrets_nothing_travels() {
        let whole = spec(&["a", ""], &[]);
        let mut written = whole.clone();
        let sealed = Sealed::of(&mut written, &Redactor::new());
        assert_eq!(written, whole);
        assert!(sealed.for_supervisor().is_empty());
    }

    #[test]
    fn what_is_no_index_is_refused() {
        let variable = |name: &str| [(name.to_owned(), "x".to_owned())].into_iter();
        assert!(Sealed::from_variables(variable("COFFERDAM_ARGUMENT_x")).is_err());
        assert!(Sealed::from_variables(variable("COFFERDAM_SECRET_0")).is_err());
        assert!(Sealed::from_variables(variable("PATH")).is_ok());
    }
}
