//! Who has to have signed what comes from where, as data.
//!
//! **Design.** Keys have names ([`PolicyConfig::keys`]); a rule says for the repositories below
//! a place which of them have to have signed: one, all of several, or a number of several,
//! within each other. The rule with the longest place counts. Where there is no rule nothing is
//! taken: whoever wants something without signatures writes that.

use crate::keys::PublicKey;
use crate::signature::Signature;
use crate::{Digest, Place, RegistryError, Repository};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// How deep requirements may lie within each other.
const MAX_DEPTH: usize = 8;

/// Who signed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Signer {
    /// What the key is called here.
    pub name: String,
    /// The digest of the public key (its SubjectPublicKeyInfo).
    pub fingerprint: Digest,
}

/// What has to have been signed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Requirement {
    /// By the key of this name in `registry.keys`.
    pub key: Option<String>,
    /// Each of these has to hold.
    pub all_of: Option<Vec<Requirement>>,
    /// As many of these as `minimum` says have to hold.
    pub any_of: Option<Vec<Requirement>>,
    /// How many of `any-of` have to hold; 1 where it is not written.
    pub minimum: Option<usize>,
}

/// What plugins from one place need.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SourceRule {
    /// A registry (`ghcr.io`) or a part of one (`ghcr.io/acme`), by whole parts of names. The
    /// longest that fits counts.
    pub prefix: String,
    /// Who has to have signed.
    #[serde(default)]
    pub require: Requirement,
    /// Nobody has to have signed; instead of `require`.
    #[serde(default)]
    pub unsigned: bool,
}

/// A policy as it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyConfig {
    /// Files with public keys (PEM), by name.
    pub keys: BTreeMap<String, PathBuf>,
    /// The rules.
    pub sources: Vec<SourceRule>,
}

/// Why something may not be used although it came whole.
#[derive(Debug, thiserror::Error)]
pub enum Distrust {
    /// No rule is about it.
    #[error(
        "nothing is taken from {place}: no rule of cofferdam.toml is about it. Write who has to have signed what comes from there, under registry.sources:\n[[registry.sources]]\nprefix = \"{place}\"\nrequire = {{ key = \"NAME\" }}     # a key of [registry.keys]; or instead: unsigned = true"
    )]
    NoRule {
        /// The repository.
        place: String,
    },
    /// Nobody signed it.
    #[error("{reference} has no signature, and it needs {wanted}")]
    Unsigned {
        /// The artifact, by its digest.
        reference: String,
        /// Whose signatures it needs.
        wanted: String,
    },
    /// Others signed it.
    #[error(
        "{reference} is not signed by those who have to: it needs {wanted}, and of its {count} signatures those that count are by {}",
        names(found)
    )]
    WrongKey {
        /// The artifact, by its digest.
        reference: String,
        /// Whose signatures it needs.
        wanted: String,
        /// How many signatures it has.
        count: usize,
        /// Those whose keys are known here.
        found: Vec<Signer>,
    },
}

fn names(signers: &[Signer]) -> String {
    if signers.is_empty() {
        return "nobody".to_owned();
    }
    let names: Vec<String> = signers.iter().map(|it| format!("{:?}", it.name)).collect();
    names.join(", ")
}

/// A policy with its keys.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    keys: BTreeMap<String, PublicKey>,
    rules: Vec<(Place, Option<Requirement>)>,
}

impl Policy {
    /// Reads the keys and checks the rules.
    ///
    /// # Errors
    /// [`RegistryError::Settings`] names what is wrong and where.
    pub fn load(config: &PolicyConfig) -> Result<Self, RegistryError> {
        let refuse = |text: String| RegistryError::Settings(text);
        let mut keys = BTreeMap::new();
        for (name, file) in &config.keys {
            let key = read_key(file)
                .map_err(|reason| refuse(format!("registry.keys.{name}: {reason}")))?;
            keys.insert(name.clone(), key);
        }
        let mut rules = Vec::new();
        for rule in &config.sources {
            let refuse = |reason: String| {
                refuse(format!(
                    "registry.sources, prefix {:?}: {reason}",
                    rule.prefix
                ))
            };
            let place: Place = rule
                .prefix
                .parse()
                .map_err(|error| refuse(format!("{error}")))?;
            if rules.iter().any(|(other, _)| *other == place) {
                return Err(refuse("there are two rules for it".to_owned()));
            }
            let require = match (rule.unsigned, rule.require == Requirement::default()) {
                (true, true) => None,
                (false, false) => {
                    rule.require.check(&keys, 0).map_err(refuse)?;
                    Some(rule.require.clone())
                }
                (true, false) => {
                    return Err(refuse(
                        "`unsigned` and `require` exclude each other".to_owned(),
                    ));
                }
                (false, true) => {
                    return Err(refuse(
                        "it has neither `require = { key = \"NAME\" }` nor `unsigned = true`"
                            .to_owned(),
                    ));
                }
            };
            rules.push((place, require));
        }
        Ok(Self { keys, rules })
    }

    /// The policy that one key has to have signed, wherever something comes from.
    #[must_use]
    pub fn of_key(name: &str, key: PublicKey, repository: &Repository) -> Self {
        let place = Place {
            registry: repository.registry.clone(),
            prefix: repository.name.clone(),
        };
        let requirement = Requirement {
            key: Some(name.to_owned()),
            ..Requirement::default()
        };
        Self {
            keys: BTreeMap::from([(name.to_owned(), key)]),
            rules: vec![(place, Some(requirement))],
        }
    }

    /// The rule for a repository: whether signatures are needed at all.
    ///
    /// # Errors
    /// [`Distrust::NoRule`].
    pub fn needs_signatures(&self, repository: &Repository) -> Result<bool, Distrust> {
        Ok(self.rule(repository)?.is_some())
    }

    /// Holds an artifact's signatures against the rule for it, and gives those who signed of
    /// all whose keys are known, sorted.
    ///
    /// # Errors
    /// [`Distrust`].
    pub fn judge(
        &self,
        repository: &Repository,
        digest: &Digest,
        signatures: &[Signature],
    ) -> Result<Vec<Signer>, Distrust> {
        let rule = self.rule(repository)?;
        let signed = |key: &PublicKey| signatures.iter().any(|it| it.is_by(key, digest));
        let found: Vec<Signer> = self
            .keys
            .iter()
            .filter(|(_, key)| signed(key))
            .map(|(name, key)| Signer {
                name: name.clone(),
                fingerprint: key.fingerprint(),
            })
            .collect();
        let Some(rule) = rule else {
            return Ok(found);
        };
        let holders: BTreeSet<&str> = found.iter().map(|it| it.name.as_str()).collect();
        if rule.holds(&holders) {
            return Ok(found);
        }
        let reference = format!("{repository}@{digest}");
        let wanted = rule.to_string();
        if signatures.is_empty() {
            return Err(Distrust::Unsigned { reference, wanted });
        }
        Err(Distrust::WrongKey {
            reference,
            wanted,
            count: signatures.len(),
            found,
        })
    }

    fn rule(&self, repository: &Repository) -> Result<Option<&Requirement>, Distrust> {
        let rules = self.rules.iter().filter(|(place, _)| place.has(repository));
        rules
            .max_by_key(|(place, _)| place.prefix.len())
            .map(|(_, rule)| rule.as_ref())
            .ok_or_else(|| Distrust::NoRule {
                place: repository.to_string(),
            })
    }
}

impl Requirement {
    fn check(&self, keys: &BTreeMap<String, PublicKey>, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!("requirements lie more than {MAX_DEPTH} deep"));
        }
        let parts = match (&self.key, &self.all_of, &self.any_of) {
            (Some(name), None, None) => {
                if !keys.contains_key(name) {
                    return Err(format!("registry.keys has no key {name:?}"));
                }
                &Vec::new()
            }
            (None, Some(parts), None) | (None, None, Some(parts)) if !parts.is_empty() => parts,
            (None, None, None) => return Err("a requirement is empty".to_owned()),
            (None, Some(_), None) | (None, None, Some(_)) => {
                return Err("a list of requirements is empty".to_owned());
            }
            _ => return Err("a requirement is one of `key`, `all-of` and `any-of`".to_owned()),
        };
        if let Some(minimum) = self.minimum {
            let Some(parts) = &self.any_of else {
                return Err("`minimum` belongs to `any-of`".to_owned());
            };
            if minimum == 0 || minimum > parts.len() {
                return Err(format!(
                    "`minimum` is {minimum}, of {} that there are",
                    parts.len()
                ));
            }
            let names: Vec<_> = parts.iter().filter_map(|part| part.key.as_ref()).collect();
            let keys: Vec<_> = names.iter().filter_map(|name| keys.get(*name)).collect();
            if keys
                .iter()
                .enumerate()
                .any(|(at, key)| keys.iter().skip(at + 1).any(|other| other == key))
            {
                return Err("`any-of` counts one key twice".to_owned());
            }
        }
        parts
            .iter()
            .try_for_each(|part| part.check(keys, depth + 1))
    }

    fn holds(&self, signed: &BTreeSet<&str>) -> bool {
        if let Some(name) = &self.key {
            return signed.contains(name.as_str());
        }
        if let Some(parts) = &self.all_of {
            return parts.iter().all(|part| part.holds(signed));
        }
        let parts = self.any_of.as_deref().unwrap_or_default();
        let held = parts.iter().filter(|part| part.holds(signed)).count();
        held >= self.minimum.unwrap_or(1).max(1)
    }
}

impl std::fmt::Display for Requirement {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |parts: &[Self]| {
            let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
            parts.join(", ")
        };
        match (&self.key, &self.all_of, &self.any_of) {
            (Some(name), ..) => write!(formatter, "{name:?}"),
            (_, Some(parts), _) => write!(formatter, "all of ({})", list(parts)),
            (_, _, Some(parts)) => {
                write!(
                    formatter,
                    "{} of ({})",
                    self.minimum.unwrap_or(1),
                    list(parts)
                )
            }
            _ => formatter.write_str("nothing"),
        }
    }
}

fn read_key(file: &Path) -> Result<PublicKey, String> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    PublicKey::read(&text).map_err(|error| format!("{}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reference;
    use crate::keys::PrivateKey;

    /// Keys a, b and c, in files; `c` and `again` are the same key.
    struct Keys {
        folder: tempfile::TempDir,
        private: BTreeMap<&'static str, PrivateKey>,
    }

    impl Keys {
        fn make() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let mut private = BTreeMap::new();
            for name in ["a", "b", "c"] {
                let (key, _) = PrivateKey::generate().unwrap();
                std::fs::write(folder.path().join(name), key.public().pem()).unwrap();
                private.insert(name, key);
            }
            std::fs::copy(folder.path().join("c"), folder.path().join("again")).unwrap();
            Self { folder, private }
        }

        fn load(&self, rules: serde_json::Value) -> Result<Policy, String> {
            let keys = ["a", "b", "c", "again"];
            let config = PolicyConfig {
                keys: keys
                    .map(|name| (name.to_owned(), self.folder.path().join(name)))
                    .into(),
                sources: serde_json::from_value(rules).map_err(|error| error.to_string())?,
            };
            Policy::load(&config).map_err(|error| error.to_string())
        }
    }

    #[test]
    fn what_has_to_be_signed_is_data() {
        let keys = Keys::make();
        let repository = "r.org/p/x".parse::<Reference>().unwrap().repository;
        let digest = Digest::of(b"x");
        let of = |name: &str| serde_json::json!({ "key": name });
        let all = serde_json::json!({"all-of": [of("a"), of("b")]});
        let any = serde_json::json!({"any-of": [of("a"), of("b")]});
        let two = serde_json::json!({"any-of": [of("a"), of("b"), of("c")], "minimum": 2});
        let deep = serde_json::json!({"all-of": [of("a"), {"any-of": [of("b"), of("c")]}]});
        for (require, signed, expected) in [
            (of("a"), vec!["a"], true),
            (of("a"), vec!["b"], false),
            (of("a"), vec![], false),
            (all.clone(), vec!["a"], false),
            (all, vec!["b", "a"], true),
            (any.clone(), vec!["b"], true),
            (any, vec!["c"], false),
            (two.clone(), vec!["c"], false),
            (two, vec!["c", "a"], true),
            (deep.clone(), vec!["a"], false),
            (deep.clone(), vec!["b", "c"], false),
            (deep, vec!["a", "c"], true),
        ] {
            let policy = keys
                .load(serde_json::json!([{"prefix": "r.org/p", "require": require}]))
                .unwrap();
            let signatures: Vec<Signature> = signed
                .iter()
                .map(|name| Signature::make(&keys.private[name], &repository, &digest).unwrap())
                .collect();
            let judged = policy.judge(&repository, &digest, &signatures);
            assert_eq!(
                judged.is_ok(),
                expected,
                "{require} by {signed:?}: {judged:?}"
            );
            match judged {
                Ok(signers) => assert!(
                    signed
                        .iter()
                        .all(|name| signers.iter().any(|it| it.name == *name))
                ),
                Err(Distrust::Unsigned { .. }) => assert!(signed.is_empty()),
                Err(Distrust::WrongKey { count, .. }) => assert_eq!(count, signed.len()),
                Err(other) => panic!("{other}"),
            }
            // The same signatures say nothing of another artifact.
            assert!(
                policy
                    .judge(&repository, &Digest::of(b"y"), &signatures)
                    .is_err()
            );
        }
    }

    #[test]
    fn the_longest_place_counts_and_without_one_nothing_is_taken() {
        let keys = Keys::make();
        let policy = keys
            .load(serde_json::json!([
                {"prefix": "r.org", "require": {"key": "a"}},
                {"prefix": "r.org/open", "unsigned": true},
                {"prefix": "r.org/open/closed", "require": {"key": "b"}},
            ]))
            .unwrap();
        for (text, needs) in [
            ("r.org/x", Some(true)),
            ("r.org/open/x", Some(false)),
            ("r.org/opener", Some(true)),
            ("r.org/open/closed/x", Some(true)),
            ("other.org/x", None),
        ] {
            let repository = text.parse::<Reference>().unwrap().repository;
            assert_eq!(policy.needs_signatures(&repository).ok(), needs, "{text}");
        }
    }

    #[test]
    fn a_policy_that_means_nothing_is_refused() {
        let keys = Keys::make();
        let mut deep = serde_json::json!({"key": "a"});
        for _ in 0..12 {
            deep = serde_json::json!({ "all-of": [deep] });
        }
        for (rule, words) in [
            (serde_json::json!({}), "neither"),
            (
                serde_json::json!({"unsigned": true, "require": {"key": "a"}}),
                "exclude",
            ),
            (serde_json::json!({"require": {"key": "z"}}), "no key \"z\""),
            (
                serde_json::json!({"require": {"key": "a", "any-of": []}}),
                "is one of",
            ),
            (serde_json::json!({"require": {"all-of": []}}), "is empty"),
            (serde_json::json!({"require": {"all-of": [{}]}}), "is empty"),
            (
                serde_json::json!({"require": {"key": "a", "minimum": 1}}),
                "belongs to",
            ),
            (
                serde_json::json!({"require": {"any-of": [{"key": "a"}], "minimum": 2}}),
                "of 1",
            ),
            (
                serde_json::json!({"require": {"any-of": [{"key": "a"}], "minimum": 0}}),
                "is 0",
            ),
            (
                serde_json::json!({"require": {"any-of": [{"key": "c"}, {"key": "again"}], "minimum": 2}}),
                "twice",
            ),
            (serde_json::json!({ "require": deep }), "deep"),
            (
                serde_json::json!({"require": {"keys": "a"}}),
                "unknown field",
            ),
        ] {
            let mut rule = rule;
            rule["prefix"] = "r.org".into();
            let error = keys.load(serde_json::json!([rule])).unwrap_err();
            assert!(error.contains(words), "{words} in {error}");
        }
        let twice = serde_json::json!({"prefix": "r.org", "unsigned": true});
        let error = keys.load(serde_json::json!([twice, twice])).unwrap_err();
        assert!(error.contains("two rules"), "{error}");
        let nowhere = serde_json::json!([{"prefix": "plugins", "unsigned": true}]);
        assert!(keys.load(nowhere).unwrap_err().contains("registry"));
    }
}
