//! Which plugins a registry has.
//!
//! Registries have no search of their own: their catalogue is read and each repository's
//! newest artifact is looked at. That is many requests, so there are limits, and an answer
//! says whether it is whole.

use crate::artifact::{CONFIG, DESCRIPTION, TITLE, VERSION};
use crate::client::{pull, text_of};
use crate::transport::{Request, location};
use crate::{Client, Digest, Place, Reference, RegistryError, Repository};
use reqwest::header::{HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, StatusCode, Url};
use semver::Version;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The most repositories that are looked at.
const MAX_REPOSITORIES: usize = 500;

/// The most tags of a repository that are read.
const MAX_TAGS: usize = 1_000;

/// The longest page of a list that is read, in bytes.
const MAX_PAGE: u64 = 4 << 20;

/// The most pages of a list that are read.
const MAX_PAGES: usize = 100;

/// A plugin in a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Its newest artifact, by tag.
    pub reference: String,
    /// The digest of that artifact's manifest.
    pub digest: Digest,
    /// The plugin's id, as whoever pushed it wrote it there; may be empty.
    pub id: String,
    /// The plugin's version, likewise.
    pub version: String,
    /// What it does, likewise.
    pub summary: String,
    /// The tags of its repository, the newest first.
    pub tags: Vec<String>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Hits {
    /// The plugins, by reference.
    pub items: Vec<Found>,
    /// Whether the registry has more than was looked at.
    pub truncated: bool,
}

#[derive(Deserialize)]
struct Catalogue {
    repositories: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Tags {
    tags: Option<Vec<String>>,
}

impl Client {
    /// The plugins below `place` whose reference, id or summary has all words of `text`,
    /// whatever their case.
    ///
    /// # Errors
    /// Those of asking a registry.
    pub async fn search(&self, place: &Place, text: &str) -> Result<Hits, RegistryError> {
        let (names, mut truncated) = self.names(place).await?;
        let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
        let mut items = Vec::new();
        for name in names {
            let repository = Repository {
                registry: place.registry.clone(),
                name,
            };
            let (found, cut) = self.newest(repository).await?;
            truncated |= cut;
            let fits = |found: &Found| {
                let all = format!("{} {} {}", found.reference, found.id, found.summary);
                let all = all.to_lowercase();
                words.iter().all(|word| all.contains(word.as_str()))
            };
            items.extend(found.filter(fits));
        }
        Ok(Hits { items, truncated })
    }

    /// The names below a place, sorted. A registry that shows no catalogue may still have the
    /// repository of exactly that name.
    async fn names(&self, place: &Place) -> Result<(Vec<String>, bool), RegistryError> {
        let url = self.root(&place.registry, "_catalog?n=1000")?;
        let what = "list its repositories";
        let listed = self
            .list(
                &place.registry,
                what,
                url,
                "registry:catalog:*",
                |page: Catalogue| {
                    let all = page.repositories.unwrap_or_default();
                    all.into_iter().filter(|name| place.begins(name)).collect()
                },
            )
            .await;
        let (mut names, mut truncated) = match listed {
            Err(
                RegistryError::NotFound { .. }
                | RegistryError::Refused { .. }
                | RegistryError::Unauthorised { .. },
            ) if !place.prefix.is_empty() => (vec![place.prefix.clone()], false),
            listed => listed?,
        };
        names.sort();
        names.dedup();
        truncated |= names.len() > MAX_REPOSITORIES;
        names.truncate(MAX_REPOSITORIES);
        Ok((names, truncated))
    }

    /// The newest artifact of a repository, if that is a plugin; whether there were more tags.
    async fn newest(&self, repository: Repository) -> Result<(Option<Found>, bool), RegistryError> {
        let url = self.url(&repository, &["tags", "list?n=1000"])?;
        let what = format!("{repository}");
        let listed = self
            .list(
                &repository.registry,
                &what,
                url,
                &pull(&repository),
                |page: Tags| page.tags.unwrap_or_default(),
            )
            .await;
        let (tags, truncated) = match listed {
            // One without tags is one that has been emptied.
            Err(RegistryError::NotFound { .. }) => return Ok((None, false)),
            listed => listed?,
        };
        let tags = newest_first(tags);
        let Some(tag) = tags.first() else {
            return Ok((None, truncated));
        };
        let reference = Reference {
            repository,
            tag: Some(tag.clone()),
            digest: None,
        };
        let resolved = match self.resolve(&reference).await {
            Ok(resolved) if resolved.manifest.config.media_type == CONFIG => resolved,
            // Something else than a plugin.
            Ok(_)
            | Err(
                RegistryError::Index { .. }
                | RegistryError::MediaType { .. }
                | RegistryError::Malformed { .. }
                | RegistryError::NotFound { .. },
            ) => return Ok((None, truncated)),
            Err(error) => return Err(error),
        };
        let said = |key: &str| {
            let value = resolved.manifest.annotations.get(key);
            value.cloned().unwrap_or_default()
        };
        let found = Found {
            reference: reference.to_string(),
            id: said(TITLE),
            version: said(VERSION),
            summary: said(DESCRIPTION),
            digest: resolved.digest,
            tags,
        };
        Ok((Some(found), truncated))
    }

    /// A list of several pages: each names the next in its `Link` (RFC 8288).
    async fn list<T: DeserializeOwned>(
        &self,
        registry: &str,
        what: &str,
        first: Url,
        scope: &str,
        names: impl Fn(T) -> Vec<String>,
    ) -> Result<(Vec<String>, bool), RegistryError> {
        let mut all = Vec::new();
        let mut url = first;
        for _ in 0..MAX_PAGES {
            let request = Request::new(registry, what.to_owned(), Method::GET, url.clone());
            let response = self.ask_any(&request, scope).await?;
            if response.status() == StatusCode::METHOD_NOT_ALLOWED
                || !response.status().is_success()
            {
                return Err(self.transport.refusal(&request, response).await);
            }
            let next = next_page(registry, &url, response.headers())?;
            let body = self
                .transport
                .body(registry, "the list of names", MAX_PAGE, response)
                .await?;
            let page: T =
                serde_json::from_slice(&body).map_err(|error| RegistryError::Malformed {
                    what: format!("the list of names of the registry {registry}"),
                    reason: error.to_string(),
                })?;
            all.extend(names(page));
            if all.len() > MAX_TAGS.max(MAX_REPOSITORIES) {
                return Ok((all, true));
            }
            match next {
                Some(next) => url = next,
                None => return Ok((all, false)),
            }
        }
        Ok((all, true))
    }
}

/// The address in `Link: <ADDRESS>; rel="next"`.
fn next_page(
    registry: &str,
    asked: &Url,
    headers: &HeaderMap,
) -> Result<Option<Url>, RegistryError> {
    let Some(link) = text_of(headers, "link").filter(|link| link.contains("next")) else {
        return Ok(None);
    };
    let address = link
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'))
        .map_or("", |(address, _)| address);
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(address) {
        headers.insert(LOCATION, value);
    }
    let next = location(registry, asked, &headers)?;
    if next.origin() != asked.origin() {
        return Err(RegistryError::Redirect {
            registry: registry.to_owned(),
            to: next.to_string(),
            reason: "lists go on in the registry itself",
        });
    }
    Ok(Some(next))
}

/// Versions before other names, the newest version first; without the tags of signatures.
fn newest_first(mut tags: Vec<String>) -> Vec<String> {
    let of_digest = |tag: &String| {
        tag.strip_prefix("sha256-").is_some_and(|rest| {
            rest.get(..64)
                .is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
        })
    };
    tags.retain(|tag| !of_digest(tag));
    let version = |tag: &str| Version::parse(tag.strip_prefix('v').unwrap_or(tag)).ok();
    tags.sort_by(|a, b| (version(b), b).cmp(&(version(a), a)));
    tags.truncate(MAX_TAGS);
    tags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_by_version_and_without_signatures() {
        let signature = format!("sha256-{}.sig", "a".repeat(64));
        let tags = [
            "0.9.0",
            "latest",
            "v0.10.0",
            "0.10.0-rc.1",
            "edge",
            &signature,
        ];
        let tags = newest_first(tags.map(str::to_owned).to_vec());
        assert_eq!(tags, ["v0.10.0", "0.10.0-rc.1", "0.9.0", "latest", "edge"]);
    }

    #[test]
    fn the_next_page_is_of_the_same_registry() {
        let asked: Url = "https://r.org/v2/_catalog".parse().unwrap();
        let next = |link: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("link", HeaderValue::from_str(link).unwrap());
            next_page("r.org", &asked, &headers).map(|url| url.map(|url| url.to_string()))
        };
        assert_eq!(
            next(r#"</v2/_catalog?last=b&n=2>; rel="next""#)
                .unwrap()
                .unwrap(),
            "https://r.org/v2/_catalog?last=b&n=2"
        );
        assert_eq!(next(r#"</x>; rel="prev""#).unwrap(), None);
        assert!(next(r#"<https://evil.org/>; rel="next""#).is_err());
        assert!(next(r#"<http://r.org/>; rel="next""#).is_err());
    }
}
