//! Reading from a registry.

use crate::manifest::ACCEPT;
use crate::transport::{Request, Transport};
use crate::{
    ClientSettings, Descriptor, Digest, MAX_MANIFEST_BYTES, Manifest, Reference, RegistryError,
    Repository, Resolved, artifact, authorise,
};
use reqwest::header::{ACCEPT as ACCEPT_HEADER, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Response, StatusCode, Url};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// The header with the digest of what is sent.
const CONTENT_DIGEST: &str = "docker-content-digest";

/// Asks registries. Remembers for each what it wants to know of who asks.
pub struct Client {
    pub(crate) transport: Transport,
    pub(crate) settings: ClientSettings,
    authorisations: Mutex<HashMap<(String, String), HeaderValue>>,
}

impl Client {
    /// A client with these settings. TLS needs a provider of cryptography that is installed
    /// in the process (`rustls::crypto::CryptoProvider`).
    ///
    /// # Errors
    /// [`RegistryError::Settings`].
    pub fn new(settings: ClientSettings) -> Result<Self, RegistryError> {
        settings.check()?;
        Ok(Self {
            transport: Transport::new(&settings)?,
            settings,
            authorisations: Mutex::default(),
        })
    }

    /// The manifest that a reference names now, and its digest.
    ///
    /// # Errors
    /// Every case of [`RegistryError`] but those of what is in a component.
    pub async fn resolve(&self, reference: &Reference) -> Result<Resolved, RegistryError> {
        let repository = &reference.repository;
        let wanted = reference.wanted();
        let url = self.url(repository, &["manifests", wanted])?;
        let what = reference.to_string();
        let request = Request::new(&repository.registry, what.clone(), Method::GET, url)
            .header(ACCEPT_HEADER, ACCEPT);
        let response = self.ask(&request, &pull(repository)).await?;
        let headers = response.headers().clone();
        let content = self
            .transport
            .body(
                &repository.registry,
                &format!("the manifest of {what}"),
                MAX_MANIFEST_BYTES,
                response,
            )
            .await?;
        let digest = Digest::of(&content);
        let said = text_of(&headers, CONTENT_DIGEST).and_then(|text| text.parse().ok());
        for expected in reference.digest.iter().cloned().chain(said) {
            if expected != digest {
                return Err(RegistryError::Tampered {
                    what: format!("the manifest of {what}"),
                    expected,
                    found: digest,
                });
            }
        }
        let media = text_of(&headers, CONTENT_TYPE.as_str());
        let manifest = Manifest::read(&what, media.as_deref(), &content)?;
        Ok(Resolved {
            reference: reference.pinned(&digest),
            digest,
            manifest,
        })
    }

    /// The component of a resolved artifact: whole, and what its digest says.
    ///
    /// # Errors
    /// Every case of [`RegistryError`].
    pub async fn component(&self, resolved: &Resolved) -> Result<Vec<u8>, RegistryError> {
        let limit = self.settings.max_component_bytes;
        let layer = artifact::component(resolved, limit)?;
        let what = format!("the component of {}", resolved.reference);
        self.blob(&resolved.reference.repository, layer, limit, &what)
            .await
    }

    /// A blob of at most `limit` bytes, compared with its digest and its size.
    pub(crate) async fn blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        limit: u64,
        what: &str,
    ) -> Result<Vec<u8>, RegistryError> {
        let url = self.url(repository, &["blobs", descriptor.digest.as_str()])?;
        let request = Request::new(&repository.registry, what.to_owned(), Method::GET, url);
        let response = self.ask(&request, &pull(repository)).await?;
        let limit = limit.min(descriptor.size);
        let content = self
            .transport
            .body(&repository.registry, what, limit, response)
            .await?;
        let found = Digest::of(&content);
        if found != descriptor.digest {
            return Err(RegistryError::Tampered {
                what: what.to_owned(),
                expected: descriptor.digest.clone(),
                found,
            });
        }
        Ok(content)
    }

    /// Asks, with what the registry wants to know of who asks. An answer that is none of
    /// success is an error.
    pub(crate) async fn ask(
        &self,
        request: &Request,
        scope: &str,
    ) -> Result<Response, RegistryError> {
        let response = self.ask_any(request, scope).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.transport.refusal(request, response).await)
    }

    /// As [`Client::ask`]; an answer may have any status but those of who asks.
    pub(crate) async fn ask_any(
        &self,
        request: &Request,
        scope: &str,
    ) -> Result<Response, RegistryError> {
        let key = (request.registry.clone(), scope.to_owned());
        let known = self.known().get(&key).cloned();
        let mut response = self.transport.send(request, known.as_ref()).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            let headers = response.headers().clone();
            let answer =
                authorise::answer(&self.transport, &self.settings, request, scope, &headers);
            if let Some(value) = answer.await?
                && known.as_ref() != Some(&value)
            {
                response = self.transport.send(request, Some(&value)).await?;
                self.known().insert(key, value);
            }
        }
        let denied = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
        if denied.contains(&response.status()) {
            let registry = request.registry.clone();
            let credentials = &self.settings.credentials;
            return Err(RegistryError::Unauthorised {
                who: credentials.who(&registry),
                hint: credentials.hint(&registry),
                what: format!("use {scope}"),
                registry,
            });
        }
        Ok(response)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<(String, String), HeaderValue>> {
        let known = self.authorisations.lock();
        known.unwrap_or_else(PoisonError::into_inner)
    }

    /// An address below a repository.
    pub(crate) fn url(&self, repository: &Repository, rest: &[&str]) -> Result<Url, RegistryError> {
        let path = format!("{}/{}", repository.name, rest.join("/"));
        self.root(&repository.registry, &path)
    }

    /// An address of a registry.
    pub(crate) fn root(&self, registry: &str, path: &str) -> Result<Url, RegistryError> {
        let scheme = self.settings.scheme(registry);
        let text = format!("{scheme}://{registry}/v2/{path}");
        Url::parse(&text).map_err(|error| RegistryError::Reference {
            text,
            reason: error.to_string(),
        })
    }
}

/// What reading a repository is called where tokens are asked for.
pub(crate) fn pull(repository: &Repository) -> String {
    format!("repository:{}:pull", repository.name)
}

pub(crate) fn text_of(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.to_owned())
}
