//! What a plugin asks of the host: one case for each function of the services.

use super::block::Block;
use super::wire::{Answer, answer_of};
use cofferdam_contract::services::{Edits, Findings, Trees, View};
use cofferdam_contract::types::{
    Attributes, Error, Kernel, Level, MountPoint, OperatingSystem, Severity, ToolRequest,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

macro_rules! asks {
    ($(#[$doc:meta])* $name:ident in $service:ident { $($body:tt)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        pub(crate) enum $name { $($body)* }

        impl From<$name> for Ask {
            fn from(ask: $name) -> Self {
                Self::$service(ask)
            }
        }
    };
}

/// A use of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ask {
    Context(ContextAsk),
    View(ViewAsk),
    Edits(EditsAsk),
    Trees(TreesAsk),
    Findings(FindingsAsk),
    Tool(ToolAsk),
    Secrets(SecretsAsk),
    Http(HttpAsk),
}

asks! {
    /// `cofferdam:runtime/context`. The time is asked for by steps; for the others it stands.
    ContextAsk in Context {
        Now {},
        Log {
            level: Level,
            message: String,
            fields: Vec<(String, String)>,
        },
    }
}

asks! {
    /// `cofferdam:guest/view`.
    ViewAsk in View {
        Stat { path: String, follow: bool },
        ListDirectory { path: String, cursor: String, limit: u32 },
        ReadAt { path: String, offset: u64, length: u32 },
        ReadLink { path: String },
        ListXattrs { path: String },
        GetXattr { path: String, name: String },
        FreeSpace { path: String },
    }
}

asks! {
    /// `cofferdam:guest/edits`.
    EditsAsk in Edits {
        Write { path: String, content: Block, reason: String },
        Create { path: String, content: Block, attributes: Attributes, reason: String },
        Append { path: String, content: Block, reason: String },
        Patch { path: String, offset: u64, content: Block, reason: String },
        Copy { from: String, to: String, reason: String },
        MakeDirectory { path: String, attributes: Attributes, reason: String },
        Rename { from: String, to: String, reason: String },
        Remove { path: String, reason: String },
        Symlink { path: String, target: String, attributes: Attributes, reason: String },
        Link { existing: String, path: String, reason: String },
        SetMode { path: String, mode: u32, reason: String },
        SetOwner { path: String, owner: u32, group: u32, reason: String },
        SetXattr { path: String, name: String, value: Option<Block>, reason: String },
        Note { severity: Severity, message: String },
    }
}

asks! {
    /// `cofferdam:guest/trees`, less the lists, which are the same for the whole call.
    TreesAsk in Trees {
        ReadDevice { device: u32, offset: u64, length: u32 },
        Stat { tree: u32, path: String, follow: bool },
        ListDirectory { tree: u32, path: String, cursor: String, limit: u32 },
        ReadAt { tree: u32, path: String, offset: u64, length: u32 },
        ReadLink { tree: u32, path: String },
    }
}

asks! {
    /// `cofferdam:guest/findings`.
    FindingsAsk in Findings {
        SetOperatingSystem { os: OperatingSystem },
        AddMount { mount: MountPoint },
        AddKernel { kernel: Kernel },
        IdentifyDevice { device: u32, kind: String, uuid: Option<String>, label: Option<String> },
        SetFact { key: String, value: String },
        Note { severity: Severity, message: String },
    }
}

asks! {
    /// `cofferdam:tool/tool`.
    ToolAsk in Tool {
        Run { request: ToolRequest },
        Keep { file: String, name: String },
    }
}

asks! {
    /// `cofferdam:runtime/secrets`.
    SecretsAsk in Secrets {
        Get { name: String },
    }
}

asks! {
    /// `wasi:http`: whether a request may be sent. What the server answered does not pass a
    /// service.
    HttpAsk in Http {
        Request {
            method: String,
            scheme: String,
            host: String,
            port: u16,
            path: String,
        },
    }
}

impl Ask {
    /// The function (`view.read-at`) and its arguments.
    pub(crate) fn parts(&self) -> (String, Value) {
        let Ok(Value::Object(service)) = serde_json::to_value(self) else {
            return (String::new(), Value::Null);
        };
        let Some((service, Value::Object(function))) = service.into_iter().next() else {
            return (String::new(), Value::Null);
        };
        match function.into_iter().next() {
            Some((function, arguments)) => (format!("{service}.{function}"), arguments),
            None => (service, Value::Null),
        }
    }

    /// Whether it only tells people something, and is not compared.
    pub(crate) fn is_telling(&self) -> bool {
        matches!(self, Self::Context(ContextAsk::Log { .. }))
    }

    /// Whether it records a result: an edit, or a finding.
    pub(crate) fn is_result(&self) -> bool {
        matches!(self, Self::Edits(_) | Self::Findings(_))
    }

    /// The content in it.
    pub(crate) fn block_mut(&mut self) -> Option<&mut Block> {
        match self {
            Self::Edits(
                EditsAsk::Write { content, .. }
                | EditsAsk::Create { content, .. }
                | EditsAsk::Append { content, .. }
                | EditsAsk::Patch { content, .. },
            ) => Some(content),
            Self::Edits(EditsAsk::SetXattr { value, .. }) => value.as_mut(),
            _ => None,
        }
    }
}

impl ViewAsk {
    /// Asks it of a view.
    pub(crate) async fn perform(&self, view: &dyn View) -> Result<Answer, Error> {
        match self {
            Self::Stat { path, follow } => answer_of(&view.stat(path, *follow).await),
            Self::ListDirectory {
                path,
                cursor,
                limit,
            } => answer_of(&view.list_directory(path, cursor, *limit).await),
            Self::ReadAt {
                path,
                offset,
                length,
            } => answer_of(&view.read_at(path, *offset, *length).await),
            Self::ReadLink { path } => answer_of(&view.read_link(path).await),
            Self::ListXattrs { path } => answer_of(&view.list_xattrs(path).await),
            Self::GetXattr { path, name } => answer_of(&view.get_xattr(path, name).await),
            Self::FreeSpace { path } => answer_of(&view.free_space(path).await),
        }
    }
}

impl EditsAsk {
    /// Records it.
    pub(crate) async fn perform(&self, edits: &dyn Edits) -> Result<Answer, Error> {
        answer_of(&match self {
            Self::Write {
                path,
                content,
                reason,
            } => edits.write(path, content.bytes(), reason).await,
            Self::Create {
                path,
                content,
                attributes,
                reason,
            } => {
                let content = content.bytes();
                edits
                    .create(path, content, attributes.clone(), reason)
                    .await
            }
            Self::Append {
                path,
                content,
                reason,
            } => edits.append(path, content.bytes(), reason).await,
            Self::Patch {
                path,
                offset,
                content,
                reason,
            } => edits.patch(path, *offset, content.bytes(), reason).await,
            Self::Copy { from, to, reason } => edits.copy(from, to, reason).await,
            Self::MakeDirectory {
                path,
                attributes,
                reason,
            } => edits.make_directory(path, attributes.clone(), reason).await,
            Self::Rename { from, to, reason } => edits.rename(from, to, reason).await,
            Self::Remove { path, reason } => edits.remove(path, reason).await,
            Self::Symlink {
                path,
                target,
                attributes,
                reason,
            } => {
                edits
                    .symlink(path, target, attributes.clone(), reason)
                    .await
            }
            Self::Link {
                existing,
                path,
                reason,
            } => edits.link(existing, path, reason).await,
            Self::SetMode { path, mode, reason } => edits.set_mode(path, *mode, reason).await,
            Self::SetOwner {
                path,
                owner,
                group,
                reason,
            } => edits.set_owner(path, *owner, *group, reason).await,
            Self::SetXattr {
                path,
                name,
                value,
                reason,
            } => {
                let value = value.as_ref().map(Block::bytes);
                edits.set_xattr(path, name, value, reason).await
            }
            Self::Note { severity, message } => edits.note(*severity, message),
        })
    }
}

impl TreesAsk {
    /// Asks it of the trees.
    pub(crate) async fn perform(&self, trees: &dyn Trees) -> Result<Answer, Error> {
        match self {
            Self::ReadDevice {
                device,
                offset,
                length,
            } => answer_of(&trees.read_device(*device, *offset, *length).await),
            Self::Stat { tree, path, follow } => answer_of(&trees.stat(*tree, path, *follow).await),
            Self::ListDirectory {
                tree,
                path,
                cursor,
                limit,
            } => answer_of(&trees.list_directory(*tree, path, cursor, *limit).await),
            Self::ReadAt {
                tree,
                path,
                offset,
                length,
            } => answer_of(&trees.read_at(*tree, path, *offset, *length).await),
            Self::ReadLink { tree, path } => answer_of(&trees.read_link(*tree, path).await),
        }
    }
}

impl FindingsAsk {
    /// Records it.
    pub(crate) fn perform(&self, findings: &dyn Findings) -> Result<Answer, Error> {
        answer_of(&match self {
            Self::SetOperatingSystem { os } => findings.set_operating_system(os.clone()),
            Self::AddMount { mount } => findings.add_mount(mount.clone()),
            Self::AddKernel { kernel } => findings.add_kernel(kernel.clone()),
            Self::IdentifyDevice {
                device,
                kind,
                uuid,
                label,
            } => findings.identify_device(*device, kind, uuid.clone(), label.clone()),
            Self::SetFact { key, value } => findings.set_fact(key, value),
            Self::Note { severity, message } => findings.note(*severity, message),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ask_has_a_name_and_reads_back() {
        let ask = Ask::from(ViewAsk::ReadAt {
            path: "/etc/fstab".to_owned(),
            offset: 0,
            length: 9,
        });
        let (function, arguments) = ask.parts();
        assert_eq!(function, "view.read-at");
        assert_eq!(arguments["path"], "/etc/fstab");
        for ask in [ask, ContextAsk::Now {}.into()] {
            let text = serde_json::to_string(&ask).unwrap();
            assert_eq!(serde_json::from_str::<Ask>(&text).unwrap(), ask, "{text}");
        }
    }
}
