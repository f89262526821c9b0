//! Writing to a registry.
//!
//! Blobs go first and the manifest last, so that what has a manifest is whole. A blob that is
//! there already is not sent again.

use crate::artifact::Artifact;
use crate::client::text_of;
use crate::manifest::MANIFEST;
use crate::transport::{Request, location};
use crate::{Client, Descriptor, Digest, Manifest, Reference, RegistryError, Repository};
use bytes::Bytes;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};

impl Client {
    /// Pushes a component to a reference, and gives the digest of its manifest.
    ///
    /// # Errors
    /// Those of asking a registry; [`RegistryError::Reference`] where a digest was written
    /// that the manifest does not have.
    pub async fn push(
        &self,
        reference: &Reference,
        artifact: &Artifact,
        component: Bytes,
    ) -> Result<Digest, RegistryError> {
        let manifest = artifact.manifest.encoded()?;
        let digest = Digest::of(&manifest);
        if let Some(wanted) = reference
            .digest
            .as_ref()
            .filter(|wanted| **wanted != digest)
        {
            return Err(RegistryError::Reference {
                text: reference.to_string(),
                reason: format!("what is pushed has the digest {digest}, not {wanted}"),
            });
        }
        let repository = &reference.repository;
        for layer in &artifact.manifest.layers {
            self.push_blob(repository, layer, component.clone()).await?;
        }
        let config = Bytes::from(artifact.config.clone());
        self.push_blob(repository, &artifact.manifest.config, config)
            .await?;
        self.push_manifest(reference, &artifact.manifest).await
    }

    /// Sends a blob unless it is there.
    pub(crate) async fn push_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        content: Bytes,
    ) -> Result<(), RegistryError> {
        let registry = &repository.registry;
        let scope = push(repository);
        let digest = descriptor.digest.as_str();
        let url = self.url(repository, &["blobs", digest])?;
        let what = format!("say whether {repository} has {digest}");
        let request = Request::new(registry, what, Method::HEAD, url);
        let there = self.ask_any(&request, &scope).await?;
        if there.status().is_success() {
            return Ok(());
        }
        let url = self.url(repository, &["blobs", "uploads", ""])?;
        let what = format!("take a blob into {repository}");
        let mut request = Request::new(registry, what.clone(), Method::POST, url.clone());
        request.body = Some(Bytes::new());
        let response = self.ask(&request, &scope).await?;
        let mut upload = location(registry, &url, response.headers())?;
        // The credentials would go along.
        if upload.origin() != url.origin() {
            return Err(RegistryError::Redirect {
                registry: registry.clone(),
                to: upload.to_string(),
                reason: "uploads go to the registry itself",
            });
        }
        upload.query_pairs_mut().append_pair("digest", digest);
        let mut request = Request::new(registry, what, Method::PUT, upload)
            .header(CONTENT_TYPE, "application/octet-stream");
        request.body = Some(content);
        let response = self.ask(&request, &scope).await?;
        if response.status() != StatusCode::CREATED {
            return Err(self.transport.refusal(&request, response).await);
        }
        Ok(())
    }

    /// Sends a manifest, and gives its digest.
    pub(crate) async fn push_manifest(
        &self,
        reference: &Reference,
        manifest: &Manifest,
    ) -> Result<Digest, RegistryError> {
        let repository = &reference.repository;
        let content = manifest.encoded()?;
        let digest = Digest::of(&content);
        // With a tag and a digest, the tag is what is set.
        let name = reference.tag.as_deref().unwrap_or(reference.wanted());
        let url = self.url(repository, &["manifests", name])?;
        let what = format!("take the manifest of {reference}");
        let mut request = Request::new(&repository.registry, what.clone(), Method::PUT, url)
            .header(CONTENT_TYPE, MANIFEST);
        request.body = Some(Bytes::from(content));
        let response = self.ask(&request, &push(repository)).await?;
        let said = text_of(response.headers(), "docker-content-digest");
        match said.and_then(|text| text.parse::<Digest>().ok()) {
            Some(found) if found != digest => Err(RegistryError::Tampered {
                what: format!("the manifest of {reference}"),
                expected: digest,
                found,
            }),
            _ => Ok(digest),
        }
    }
}

/// What writing a repository is called where tokens are asked for.
fn push(repository: &Repository) -> String {
    format!("repository:{}:pull,push", repository.name)
}
