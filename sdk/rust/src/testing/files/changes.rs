//! Extended attributes, and changing the tree as the contract's `edits` describe it.

use super::{Inode, MemoryFiles, missing, wrong_kind};
use crate::{
    error::{Error, Result},
    path,
    types::{Attributes, FileKind},
};

impl MemoryFiles {
    /// Names of the extended attributes; links are not followed.
    pub fn list_xattrs(&self, path: &str) -> Result<Vec<String>> {
        let inode = self.inode(&self.resolve(path, false)?)?;
        Ok(inode.xattrs.keys().cloned().collect())
    }

    /// One extended attribute; links are not followed.
    pub fn get_xattr(&self, path: &str, name: &str) -> Result<Vec<u8>> {
        let inode = self.inode(&self.resolve(path, false)?)?;
        let value = inode.xattrs.get(name).cloned();
        value.ok_or_else(|| Error::not_found(format!("{path} has no attribute {name}")))
    }

    /// Replaces a regular file's content, following a link.
    pub fn write(&mut self, path: &str, content: &[u8]) -> Result<()> {
        self.content(path)?;
        let resolved = self.resolve(path, true)?;
        self.inode_mut(&resolved)?.content = content.to_vec();
        Ok(())
    }

    /// A new regular file.
    pub fn create(&mut self, path: &str, content: &[u8], attributes: &Attributes) -> Result<()> {
        self.make(path, FileKind::Regular, content, attributes)
    }

    /// A new directory.
    pub fn make_directory(&mut self, path: &str, attributes: &Attributes) -> Result<()> {
        self.make(path, FileKind::Directory, b"", attributes)
    }

    /// A new symbolic link.
    pub fn symlink(&mut self, path: &str, target: &str, attributes: &Attributes) -> Result<()> {
        self.make(path, FileKind::Symlink, target.as_bytes(), attributes)
    }

    fn make(
        &mut self,
        path: &str,
        kind: FileKind,
        content: &[u8],
        attributes: &Attributes,
    ) -> Result<()> {
        let resolved = self.vacant(path)?;
        self.insert(&resolved, Inode::new(kind, content, attributes));
        Ok(())
    }

    /// A new file like another, links not followed.
    pub fn copy(&mut self, from: &str, to: &str) -> Result<()> {
        let inode = self.inode(&self.resolve(from, false)?)?.clone();
        if inode.kind != FileKind::Regular {
            return Err(wrong_kind(from, "regular file"));
        }
        let resolved = self.vacant(to)?;
        self.insert(&resolved, inode);
        Ok(())
    }

    /// One more name for a regular file.
    pub fn link(&mut self, existing: &str, path: &str) -> Result<()> {
        let from = self.resolve(existing, false)?;
        if self.inode(&from)?.kind != FileKind::Regular {
            return Err(wrong_kind(existing, "regular file"));
        }
        let number = self.names.get(&from).copied();
        let number = number.ok_or_else(|| missing(existing))?;
        let resolved = self.vacant(path)?;
        self.names.insert(resolved, number);
        Ok(())
    }

    /// A new name, with everything below; a file at the new name is replaced.
    pub fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        let source = self.resolve(from, false)?;
        let moved = self.inode(&source)?.kind;
        let target = self.resolve(to, false)?;
        if source == target {
            return Ok(());
        }
        if source == "/" || target.starts_with(&path::join(&source, "")) {
            return Err(Error::invalid(format!("{from} cannot move into itself")));
        }
        match self.inode(&target).map(|inode| inode.kind) {
            Ok(FileKind::Directory) => {
                return Err(Error::exists(format!("{to} is a directory")));
            }
            Ok(_) if moved == FileKind::Directory => {
                return Err(Error::exists(format!("{to} exists already")));
            }
            Ok(_) => self.unname(&target),
            Err(_) => {
                self.vacant(to)?;
            }
        }
        let below = path::join(&source, "");
        let inside = |name: &String| *name == source || name.starts_with(&below);
        let names: Vec<String> = self
            .names
            .keys()
            .filter(|name| inside(name))
            .cloned()
            .collect();
        for name in names {
            if let Some(number) = self.names.remove(&name) {
                let rest = name.get(source.len()..).unwrap_or_default();
                self.names.insert(format!("{target}{rest}"), number);
            }
        }
        Ok(())
    }

    /// Removes a file, a link, or an empty directory.
    pub fn remove(&mut self, path: &str) -> Result<()> {
        let resolved = self.resolve(path, false)?;
        let kind = self.inode(&resolved)?.kind;
        if resolved == "/"
            || (kind == FileKind::Directory && self.children(&resolved).next().is_some())
        {
            return Err(Error::conflict(format!("{path} is not empty")));
        }
        self.unname(&resolved);
        Ok(())
    }

    fn unname(&mut self, resolved: &str) {
        if let Some(number) = self.names.remove(resolved)
            && !self.names.values().any(|other| *other == number)
        {
            self.inodes.remove(&number);
        }
    }

    /// Permission bits; links are not followed.
    pub fn set_mode(&mut self, path: &str, mode: u32) -> Result<()> {
        if mode > 0o7777 {
            return Err(Error::invalid(format!("{mode:o} is no permission mode")));
        }
        let resolved = self.resolve(path, false)?;
        self.inode_mut(&resolved)?.mode = mode;
        Ok(())
    }

    /// Owner and group; links are not followed.
    pub fn set_owner(&mut self, path: &str, owner: u32, group: u32) -> Result<()> {
        let resolved = self.resolve(path, false)?;
        let inode = self.inode_mut(&resolved)?;
        (inode.owner, inode.group) = (owner, group);
        Ok(())
    }

    /// An extended attribute; none removes it. Links are not followed.
    pub fn set_xattr(&mut self, path: &str, name: &str, value: Option<&[u8]>) -> Result<()> {
        let resolved = self.resolve(path, false)?;
        let xattrs = &mut self.inode_mut(&resolved)?.xattrs;
        match value {
            Some(value) => {
                xattrs.insert(name.to_string(), value.to_vec());
                Ok(())
            }
            None => xattrs
                .remove(name)
                .map(|_| ())
                .ok_or_else(|| Error::not_found(format!("{path} has no attribute {name}"))),
        }
    }
}
