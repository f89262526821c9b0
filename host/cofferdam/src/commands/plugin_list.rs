//! `cofferdam plugin list`.

use crate::cli::{Global, ListPlugins, Output};
use crate::client::session::{Engine, Session};
use crate::client::{Ask, path};
use crate::render::table::Table;
use crate::render::time::when;
use crate::render::{json, safe, safe_line, sayln};
use anyhow::Result;
use cofferdam_api::routes::plugins::{
    CrashView, InstalledView, PluginList, PluginView, Source, VersionView,
};
use serde_json::{Map, Value};
use std::process::ExitCode;

/// Lists the plugins of the host.
pub async fn run(command: &ListPlugins, global: &Global) -> Result<ExitCode> {
    Session::with(global, Engine::Idle, async |session| {
        let ask = Ask::get(path(&["plugins"])).with("kind", command.kind.as_deref());
        let list: PluginList = session.client.ask_for(ask).await?;
        if session.output == Output::Json {
            json(&list)?;
        } else {
            show(&list, command.versions);
        }
        Ok(ExitCode::SUCCESS)
    })
    .await
}

fn show(list: &PluginList, versions: bool) {
    let mut table = Table::new(&[
        "kind", "id", "version", "digest", "from", "state", "summary",
    ]);
    for plugin in &list.items {
        table.row(&[
            &plugin.kind,
            &plugin.id,
            &plugin.version,
            short(&plugin.digest),
            source(plugin.source),
            &state(plugin),
            &plugin.summary,
        ]);
    }
    table.print("no plugins; name a folder with --plugins, or `cofferdam plugin install FILE`");
    let idle =
        |plugin: &&InstalledView| versions || plugin.active.is_none() || plugin.problem.is_some();
    let mut table = Table::new(&[
        "id",
        "installed",
        "digest",
        "state",
        "granted",
        "since",
        "by",
    ]);
    for plugin in list.installed.iter().filter(idle) {
        for version in &plugin.versions {
            let record = &version.installed;
            table.row(&[
                &record.id,
                &record.version,
                short(&record.digest),
                &version_state(version, plugin.problem.is_some()),
                &granted(&record.grants),
                &when(record.installed),
                &record.actor,
            ]);
        }
    }
    if !table.is_empty() {
        sayln!();
        table.print("");
    }
    let serving = list.items.iter();
    let problems = serving
        .map(|plugin| (&plugin.id, plugin.problem.as_ref()))
        .chain(
            list.installed
                .iter()
                .map(|plugin| (&plugin.id, plugin.problem.as_ref())),
        )
        .filter_map(|(id, problem)| Some((id, problem?)));
    for (number, (id, problem)) in problems.enumerate() {
        if number == 0 {
            sayln!("\ncannot be used:");
        }
        sayln!("  {}: {}", safe_line(id), indented(problem));
    }
    if !list.refused.is_empty() {
        sayln!("\nrefused:");
    }
    for refused in &list.refused {
        sayln!(
            "  {}: {}",
            safe_line(&refused.file),
            indented(&refused.reason)
        );
    }
}

/// A reason of several lines, none of which can be taken for another entry.
fn indented(reason: &str) -> String {
    safe(reason).trim_end().replace('\n', "\n    ")
}

/// As much of a digest as people compare.
fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

const fn source(source: Source) -> &'static str {
    match source {
        Source::Native => "program",
        Source::Folder => "folder",
        Source::Installed => "installed",
    }
}

fn state(plugin: &PluginView) -> String {
    match (&plugin.problem, &plugin.crash) {
        (Some(_), _) => "cannot be used".to_owned(),
        (None, Some(crash)) => crash_state(crash).unwrap_or_else(|| "serves".to_owned()),
        (None, None) => "serves".to_owned(),
    }
}

fn version_state(version: &VersionView, problem: bool) -> String {
    let active = version.installed.active_since.is_some();
    let usual = match (active, problem) {
        (true, true) => "cannot be used",
        (true, false) => "serves",
        (false, _) => "kept",
    };
    let mut state = crash_state(&version.crash).unwrap_or_else(|| usual.to_owned());
    match version.pinned_by.len() {
        0 => {}
        1 => state.push_str(", one run needs it"),
        count => state.push_str(&format!(", {count} runs need it")),
    }
    state
}

/// What an installation was granted, by its names: `tool: echo, sh; secrets: db-*`.
fn granted(grants: &Map<String, Value>) -> String {
    let tables = grants.iter().map(|(key, table)| {
        let listed = ["names", "hosts"].iter().find_map(|key| table.get(key));
        let names: Vec<String> = match (listed, table) {
            (Some(Value::Array(items)), _) => items
                .iter()
                .map(|item| item.as_str().map_or_else(|| item.to_string(), safe_line))
                .collect(),
            (_, Value::Object(entries)) => entries.keys().map(|name| safe_line(name)).collect(),
            _ => Vec::new(),
        };
        format!("{}: {}", safe_line(key), names.join(", "))
    });
    let tables: Vec<String> = tables.collect();
    if tables.is_empty() {
        return "-".to_owned();
    }
    tables.join("; ")
}

/// What there is to say of a version that does not do well.
fn crash_state(crash: &CrashView) -> Option<String> {
    if let Some(quarantine) = &crash.quarantine {
        let waiting = match crash.waiting.len() {
            0 => String::new(),
            1 => ", one run waits".to_owned(),
            count => format!(", {count} runs wait"),
        };
        return Some(format!("quarantined: {}{waiting}", quarantine.reason));
    }
    let last = crash.last.as_ref()?;
    Some(format!(
        "crashed {} times, last in {} {}: {}",
        crash.crashes,
        last.call,
        when(last.at),
        last.reason
    ))
}
