//! Who asks a registry: the names and passwords that `docker login` keeps.
//!
//! Docker's file is what every tool for registries reads, so that whoever can push with one
//! can push with this. Passwords that a credential helper keeps are not there.

use crate::RegistryError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// The longest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// What registries are asked with.
#[derive(Clone, Default)]
pub struct Credentials {
    known: BTreeMap<String, Known>,
    /// The file's helper for all registries.
    store: bool,
}

#[derive(Clone)]
enum Known {
    Login {
        user: String,
        password: String,
    },
    /// It is there, in a form that is not used here; the text says which.
    Elsewhere(&'static str),
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct File {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

impl Credentials {
    /// Those of a file as `docker login` writes it; none where there is no such file.
    ///
    /// # Errors
    /// The file is there and cannot be used.
    pub fn read(file: &Path) -> Result<Self, RegistryError> {
        let refuse = |reason: String| {
            RegistryError::Settings(format!(
                "the credentials in {} cannot be used: {reason}",
                file.display()
            ))
        };
        match std::fs::metadata(file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(refuse(error.to_string())),
            Ok(known) if known.len() > MAX_FILE => {
                return Err(refuse(format!("it is longer than {MAX_FILE} bytes")));
            }
            Ok(_) => {}
        }
        let text = std::fs::read(file).map_err(|error| refuse(error.to_string()))?;
        Self::parse(&text).map_err(refuse)
    }

    fn parse(text: &[u8]) -> Result<Self, String> {
        // serde_json's own text would quote what it does not understand: a password, maybe.
        let file: File = serde_json::from_slice(text)
            .map_err(|error| format!("it is not Docker's JSON (line {})", error.line()))?;
        let mut credentials = Self {
            store: file.creds_store.is_some_and(|name| !name.is_empty()),
            ..Self::default()
        };
        for (key, entry) in file.auths {
            let Some(known) = entry.known().map_err(|reason| format!("{key}: {reason}"))? else {
                continue;
            };
            credentials.known.insert(host(&key).to_owned(), known);
        }
        for key in file.cred_helpers.into_keys() {
            let helper =
                Known::Elsewhere("a credential helper keeps its password, which is not run");
            credentials.known.insert(host(&key).to_owned(), helper);
        }
        Ok(credentials)
    }

    /// Name and password for a registry.
    pub(crate) fn login(&self, registry: &str) -> Option<(&str, &str)> {
        match self.known.get(registry)? {
            Known::Login { user, password } => Some((user, password)),
            Known::Elsewhere(_) => None,
        }
    }

    /// As whom a registry is asked, for messages.
    pub(crate) fn who(&self, registry: &str) -> String {
        match self.login(registry) {
            Some((user, _)) => format!("{user:?}"),
            None => "somebody without credentials".to_owned(),
        }
    }

    /// What to do where they did not suffice.
    pub(crate) fn hint(&self, registry: &str) -> String {
        match self.known.get(registry) {
            Some(Known::Login { .. }) => {
                "its credentials are wrong, or are not for this".to_owned()
            }
            Some(Known::Elsewhere(why)) => {
                format!("{why}; write user and password into the file of registry.credentials")
            }
            None if self.store => "a credential helper keeps the passwords, which is not run; write user and password into the file of registry.credentials".to_owned(),
            None => format!(
                "`docker login {registry}` keeps credentials where they are looked for; registry.credentials names another file"
            ),
        }
    }
}

impl Entry {
    fn known(self) -> Result<Option<Known>, String> {
        if self.identitytoken.is_some_and(|token| !token.is_empty()) {
            return Ok(Some(Known::Elsewhere(
                "it has an identity token, which is not exchanged",
            )));
        }
        if let (Some(user), Some(password)) = (self.username, self.password) {
            return Ok(Some(Known::Login { user, password }));
        }
        let Some(auth) = self.auth.filter(|auth| !auth.is_empty()) else {
            return Ok(None);
        };
        let text = STANDARD
            .decode(auth.trim())
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or("its `auth` is no base64 of a text")?;
        let (user, password) = text
            .split_once(':')
            .ok_or("its `auth` has no colon between name and password")?;
        Ok(Some(Known::Login {
            user: user.to_owned(),
            // Docker pads some with zeros.
            password: password.trim_end_matches('\0').to_owned(),
        }))
    }
}

/// The registry of a key, which old versions of Docker wrote as an address.
fn host(key: &str) -> &str {
    let key = key.strip_prefix("https://").unwrap_or(key);
    let key = key.strip_prefix("http://").unwrap_or(key);
    key.split_once('/').map_or(key, |(host, _)| host)
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.known.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_file_is_read() {
        let credentials = Credentials::parse(
            br#"{"auths": {
                "127.0.0.1:5000": {"auth": "YW5uOnBhOnNz"},
                "https://old.example.org/v2/": {"username": "u", "password": "p"},
                "empty.example.org": {},
                "token.example.org": {"auth": "YTpi", "identitytoken": "x"}},
              "credHelpers": {"helped.example.org": "pass"}, "HttpHeaders": {}}"#,
        )
        .unwrap();
        assert_eq!(credentials.login("127.0.0.1:5000"), Some(("ann", "pa:ss")));
        assert_eq!(credentials.login("old.example.org"), Some(("u", "p")));
        for other in [
            "empty.example.org",
            "token.example.org",
            "helped.example.org",
            "unknown",
        ] {
            assert_eq!(credentials.login(other), None, "{other}");
        }
        assert!(credentials.hint("helped.example.org").contains("helper"));
        assert!(credentials.hint("token.example.org").contains("identity"));
        assert!(credentials.hint("unknown").contains("docker login"));
        assert!(!format!("{credentials:?}").contains("pa:ss"));
    }

    #[test]
    fn a_damaged_file_is_an_error_that_shows_no_password() {
        for text in [
            r#"{"auths": {"a": {"password": hunter2}}}"#,
            r#"{"auths": {"a": {"auth": "hunter2!"}}}"#,
            r#"{"auths": {"a": {"auth": "aHVudGVyMg=="}}}"#,
            r#"{"auths": "hunter2"}"#,
        ] {
            let Err(error) = Credentials::parse(text.as_bytes()) else {
                panic!("{text}");
            };
            assert!(!error.contains("hunter2"), "{error}");
        }
        let missing = Credentials::read(Path::new("/nowhere/config.json")).unwrap();
        assert!(missing.login("a").is_none());
    }
}
