//! `cofferdam:disk/source-folder`: the folder of the thing being opened.

use crate::arguments::{self, MOST_BYTES, MOST_PATH};
use crate::host::{Host, capability};
use cofferdam_contract::bindings::cofferdam::disk::source_folder;
use cofferdam_contract::services::SourceFolder;
use cofferdam_contract::types::{Error, ErrorCode, SourceFile};
use std::path::{Component, Path};

capability!(
    SourceFolderCapability,
    "cofferdam:disk/source-folder@0.1.0",
    cofferdam_contract::bindings::cofferdam::disk::source_folder
);

/// The most files that a listing gives.
const MOST_FILES: usize = 10_000;

/// Refuses names that could lead out of the folder. Links are the folder's own concern.
pub(crate) fn inside(name: &str) -> Result<(), Error> {
    arguments::texts("the file's name", &[name], MOST_PATH)?;
    if name.is_empty() || name.contains('\0') {
        return Err(Error::invalid(format!("{name:?} is no file name")));
    }
    let plain = Path::new(name)
        .components()
        .all(|component| matches!(component, Component::Normal(_)));
    if plain {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::Denied,
        format!("{name:?} is not a plain name inside the source's folder"),
    ))
}

async fn list(folder: &dyn SourceFolder) -> Result<Vec<SourceFile>, Error> {
    let files = folder.list().await?;
    if files.len() > MOST_FILES {
        return Err(Error::new(
            ErrorCode::Limit,
            format!(
                "the folder has {} files; at most {MOST_FILES} are listed",
                files.len()
            ),
        )
        .with_hint("put the machine's files into a folder of their own"));
    }
    Ok(files)
}

async fn read(
    folder: &dyn SourceFolder,
    name: &str,
    offset: u64,
    length: u32,
) -> Result<Vec<u8>, Error> {
    inside(name)?;
    arguments::length(length as usize, MOST_BYTES as usize)?;
    folder.read_at(name, offset, length).await
}

impl source_folder::Host for Host<'_> {
    async fn list(&mut self) -> wasmtime::Result<Result<Vec<SourceFile>, Error>> {
        let folder = self.service::<dyn SourceFolder>()?;
        Ok(list(&*folder).await)
    }

    async fn stat(&mut self, name: String) -> wasmtime::Result<Result<SourceFile, Error>> {
        let folder = self.service::<dyn SourceFolder>()?;
        match inside(&name) {
            Ok(()) => Ok(folder.stat(&name).await),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn read_at(
        &mut self,
        name: String,
        offset: u64,
        length: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        let folder = self.service::<dyn SourceFolder>()?;
        Ok(read(&*folder, &name, offset, length).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_out_are_denied() {
        for name in ["disk.vmdk", "extents/disk-s001.vmdk"] {
            assert!(inside(name).is_ok(), "{name}");
        }
        for name in ["/etc/passwd", "../x", "a/../../x", ".", "./x"] {
            assert_eq!(inside(name).unwrap_err().code, ErrorCode::Denied, "{name}");
        }
        for name in ["", "a\0b"] {
            assert_eq!(
                inside(name).unwrap_err().code,
                ErrorCode::Invalid,
                "{name:?}"
            );
        }
    }
}
