//! How artifacts are named: `HOST[:PORT]/NAME[:TAG][@sha256:DIGEST]`.
//!
//! The grammar is the distribution specification's, section "Pulling manifests". The registry
//! has to be written: a name that means another server for each tool is how the wrong thing
//! gets installed.

use crate::{Digest, RegistryError};
use std::fmt;
use std::str::FromStr;

/// The longest repository name that is asked for, with its registry (255 is what registries
/// keep to).
const MAX_NAME: usize = 255;

/// A repository of a registry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Repository {
    /// Host and, where one was written, port.
    pub registry: String,
    /// The name within it, such as `plugins/fstab`.
    pub name: String,
}

/// An artifact, or the place for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Where it is.
    pub repository: Repository,
    /// The tag, where one was written.
    pub tag: Option<String>,
    /// The manifest's digest, where one was written: then the tag is not asked for.
    pub digest: Option<Digest>,
}

/// A registry, or the part of one whose names begin so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Host and, where one was written, port.
    pub registry: String,
    /// How names begin; may be empty.
    pub prefix: String,
}

impl Reference {
    /// The same artifact, by its digest.
    #[must_use]
    pub fn pinned(&self, digest: &Digest) -> Self {
        Self {
            digest: Some(digest.clone()),
            ..self.clone()
        }
    }

    /// With this tag where neither tag nor digest were written.
    #[must_use]
    pub fn or_tag(mut self, tag: &str) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some(tag.to_owned());
        }
        self
    }

    /// What a registry is asked for: the digest, else the tag, else `latest`.
    #[must_use]
    pub fn wanted(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag,
            (None, None) => "latest",
        }
    }
}

impl FromStr for Reference {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        let refuse = |reason: &str| RegistryError::Reference {
            text: text.to_owned(),
            reason: reason.to_owned(),
        };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse::<Digest>()?)),
            None => (text, None),
        };
        let Some((registry, rest)) = rest.split_once('/') else {
            return Err(refuse("it has to be REGISTRY/NAME[:TAG][@sha256:DIGEST]"));
        };
        let registry = registry_of(registry).map_err(refuse)?;
        let (name, tag) = match rest.split_once(':') {
            Some((name, tag)) => (name, Some(tag)),
            None => (rest, None),
        };
        if !is_name(name) {
            return Err(refuse(
                "a repository's name is lower-case letters and digits, with `.`, `_`, `-` between them and `/` between its parts",
            ));
        }
        if registry.len() + name.len() > MAX_NAME {
            return Err(refuse("it is longer than 255 characters"));
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(refuse(
                "a tag is at most 128 letters, digits, `.`, `_` and `-`, and begins with none of `.` and `-`",
            ));
        }
        Ok(Self {
            repository: Repository {
                registry,
                name: name.to_owned(),
            },
            tag: tag.map(str::to_owned),
            digest,
        })
    }
}

impl FromStr for Place {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        let refuse = |reason: &str| RegistryError::Reference {
            text: text.to_owned(),
            reason: reason.to_owned(),
        };
        let (registry, prefix) = text.split_once('/').unwrap_or((text, ""));
        let registry = registry_of(registry).map_err(refuse)?;
        let prefix = prefix.trim_end_matches('/');
        if !prefix.is_empty() && !is_name(prefix) {
            return Err(refuse(
                "what comes after the registry is no name's beginning",
            ));
        }
        Ok(Self {
            registry,
            prefix: prefix.to_owned(),
        })
    }
}

impl Place {
    /// Whether a repository lies here: the prefix counts by whole parts of a name.
    #[must_use]
    pub fn has(&self, repository: &Repository) -> bool {
        self.registry == repository.registry && self.begins(&repository.name)
    }

    /// Whether a name of this registry lies here.
    #[must_use]
    pub fn begins(&self, name: &str) -> bool {
        match name.strip_prefix(&self.prefix) {
            Some(rest) => self.prefix.is_empty() || rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix.as_str() {
            "" => formatter.write_str(&self.registry),
            prefix => write!(formatter, "{}/{prefix}", self.registry),
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.registry, self.name)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.repository.fmt(formatter)?;
        if let Some(tag) = &self.tag {
            write!(formatter, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(formatter, "@{digest}")?;
        }
        Ok(())
    }
}

/// A registry's host and port, in lower case.
fn registry_of(text: &str) -> Result<String, &'static str> {
    let written = "a reference begins with a registry, such as registry.example.org/NAME or 127.0.0.1:5000/NAME";
    let (host, port) = match text.strip_prefix('[') {
        // An IPv6 address.
        Some(rest) => {
            let (address, rest) = rest.split_once(']').ok_or(written)?;
            let _: std::net::Ipv6Addr = address.parse().map_err(|_| written)?;
            (address, rest.strip_prefix(':'))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if let Some(port) = port {
        let port: u16 = port
            .parse()
            .map_err(|_| "its port is no number up to 65535")?;
        if port == 0 {
            return Err("its port is 0");
        }
    }
    let address = text.starts_with('[');
    let named = host
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
    let is_host = host == "localhost" || host.contains('.') || port.is_some();
    if address || (named && is_host && !host.starts_with(['.', '-'])) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(written)
    }
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_part = |part: &str| {
        let separators: Vec<&str> = part
            .split(|letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit())
            .filter(|separator| !separator.is_empty())
            .collect();
        part.bytes().next().is_some_and(plain)
            && part.bytes().last().is_some_and(plain)
            && separators.iter().all(|separator| {
                [".", "_", "__"].contains(separator) || separator.bytes().all(|byte| byte == b'-')
            })
    };
    name.split('/').all(is_part)
}

fn is_tag(tag: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !tag.is_empty() && tag.len() <= 128 && tag.bytes().all(inner) && !tag.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_and_written_alike() {
        let digest = Digest::of(b"x");
        for text in [
            "registry.example.org/plugins/fstab:0.1.0".to_owned(),
            "127.0.0.1:5000/a".to_owned(),
            "[::1]:5000/a/b__c/d.e:v1_-".to_owned(),
            "localhost/a--b".to_owned(),
            format!("ghcr.io/a/b@{digest}"),
            format!("ghcr.io/a/b:1.0@{digest}"),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.to_string(), text);
        }
        let reference: Reference = "GHCR.io/a".parse().unwrap();
        assert_eq!(reference.repository.registry, "ghcr.io");
        assert_eq!(reference.wanted(), "latest");
        assert_eq!(reference.clone().or_tag("1").wanted(), "1");
        assert_eq!(reference.pinned(&digest).wanted(), digest.as_str());
    }

    #[test]
    fn what_is_no_reference_is_refused_with_the_reason() {
        let digits = "a".repeat(64);
        for (text, words) in [
            ("fstab", "REGISTRY/NAME"),
            ("plugins/fstab", "begins with a registry"),
            ("ghcr.io/", "repository's name"),
            ("ghcr.io/A", "repository's name"),
            ("ghcr.io/a//b", "repository's name"),
            ("ghcr.io/../b", "repository's name"),
            ("ghcr.io/a..b", "repository's name"),
            ("ghcr.io/a___b", "repository's name"),
            ("ghcr.io/-a", "repository's name"),
            ("ghcr.io/a%2fb", "repository's name"),
            ("ghcr.io/a:", "a tag is"),
            ("ghcr.io/a:.x", "a tag is"),
            ("ghcr.io/a:b/c", "a tag is"),
            ("ghcr.io:x/a", "port"),
            ("ghcr.io:0/a", "port"),
            ("user@ghcr.io/a", "digest"),
            ("ghcr.io/a@sha256:12", "digest"),
            ("ghcr.io?x.y/a", "begins with a registry"),
            ("[::1/a", "begins with a registry"),
            (&format!("ghcr.io/{}", "a".repeat(260)), "255"),
            (&format!("ghcr.io/a@sha512:{digits}"), "digest"),
        ] {
            let error = text.parse::<Reference>().unwrap_err().to_string();
            assert!(error.contains(words), "{words} in {error}");
        }
    }

    #[test]
    fn a_place_has_what_lies_below_whole_parts() {
        let place: Place = "ghcr.io/acme".parse().unwrap();
        for (name, inside) in [
            ("ghcr.io/acme/x", true),
            ("ghcr.io/acme", true),
            ("ghcr.io/acmeevil/x", false),
            ("ghcr.io.evil.org/acme/x", false),
            ("ghcr.io/other/acme", false),
        ] {
            let reference: Reference = name.parse().unwrap();
            assert_eq!(place.has(&reference.repository), inside, "{name}");
        }
        let all: Place = "ghcr.io".parse().unwrap();
        assert!(all.begins("anything/at/all"));
    }
}
