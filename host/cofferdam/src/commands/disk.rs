//! `cofferdam disk`: images without any plugin.

use crate::cli::{Disk, Output};
use crate::progress::{Bar, byte_bar, cancel_on_interrupt};
use crate::render::{bytes, json, safe, sayln};
use anyhow::{Context, Result, bail};
use cofferdam_disk::{
    Compression, Conversion, ConvertOptions, DiskError, Format, Image, ImageInfo, MapEntry,
    OpenImage, Resume,
};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// `disk compare` could not tell.
const CANNOT_TELL: u8 = 2;

/// Does a `disk` command.
pub async fn run(command: &Disk, output: Output) -> Result<ExitCode> {
    match command {
        Disk::Info { image, format } => info(&open(image, format.as_deref())?.info(), output),
        Disk::Map { image, format } => map(open(image, format.as_deref())?.as_ref(), output),
        Disk::Convert {
            source,
            target,
            to,
            compress,
            format,
            threads,
        } => {
            let options = ConvertOptions {
                format: target_format(to.as_deref(), target)?,
                compression: compress.map_or(Compression::None, Compression::Zlib),
                threads: *threads,
            };
            if compress.is_some() && options.format != Format::Qcow2 {
                bail!("only qcow2 can be compressed; leave --compress out or use --to qcow2");
            }
            let source = open(source, format.as_deref())?;
            convert(source, target, options, output).await
        }
        Disk::Compare {
            a,
            b,
            format_a,
            format_b,
        } => match compare(a, b, format_a.as_deref(), format_b.as_deref(), output).await {
            Ok(code) => Ok(code),
            Err(error) => {
                crate::exit::failed(&error, output);
                Ok(ExitCode::from(CANNOT_TELL))
            }
        },
    }
}

fn open(path: &Path, format: Option<&str>) -> Result<Arc<OpenImage>> {
    let format = format.map(str::parse::<Format>).transpose()?;
    Ok(cofferdam_disk::open_path(path, format)?)
}

fn target_format(named: Option<&str>, target: &Path) -> Result<Format> {
    let by_ending = target.extension().and_then(|ending| ending.to_str());
    match (named, by_ending) {
        (Some(name), _) => Ok(name.parse()?),
        (None, Some("qcow2")) => Ok(Format::Qcow2),
        (None, Some("raw" | "img")) => Ok(Format::Raw),
        _ => bail!(
            "the ending of {} does not say a format that can be written; pass --to qcow2 or --to raw",
            target.display()
        ),
    }
}

fn info(info: &ImageInfo, output: Output) -> Result<ExitCode> {
    if output == Output::Json {
        json(info)?;
        return Ok(ExitCode::SUCCESS);
    }
    let variant = info.variant.as_deref().unwrap_or_default();
    sayln!("image:         {}", safe(&info.file));
    sayln!("format:        {} {}", info.format, safe(variant));
    sayln!(
        "disk size:     {} ({} bytes)",
        bytes(info.virtual_size),
        info.virtual_size
    );
    sayln!("on its medium: {}", bytes(info.allocated));
    if let Some(cluster) = info.cluster_size {
        sayln!("cluster size:  {}", bytes(cluster));
    }
    for file in &info.files {
        sayln!("file:          {} ({} bytes)", safe(&file.name), file.size);
    }
    if let Some(table) = &info.partition_table {
        let kind = serde_json::to_value(table.kind)?;
        sayln!(
            "partitions:    {} {}",
            kind.as_str().unwrap_or_default(),
            table.disk_id
        );
        for part in &table.partitions {
            sayln!(
                "  {:>3}  start {:>14}  size {:>14}  type {}  uuid {}{}{}",
                part.number,
                part.start,
                part.length,
                part.type_id,
                part.uuid,
                part.label
                    .as_ref()
                    .map_or_else(String::new, |label| format!("  label {}", safe(label))),
                if part.bootable { "  bootable" } else { "" }
            );
        }
        for warning in &table.warnings {
            sayln!("warning:       {}", safe(warning));
        }
    }
    for warning in &info.warnings {
        sayln!("warning:       {}", safe(warning));
    }
    Ok(ExitCode::SUCCESS)
}

fn map(image: &dyn Image, output: Output) -> Result<ExitCode> {
    let entries = cofferdam_disk::map(image);
    if output == Output::Json {
        let entries: Vec<MapEntry> = entries.collect::<Result<_, DiskError>>()?;
        json(&entries)?;
        return Ok(ExitCode::SUCCESS);
    }
    sayln!("{:>16}  {:>16}  kind", "offset", "length");
    for entry in entries {
        let entry = entry?;
        let kind = serde_json::to_value(entry.kind)?;
        sayln!(
            "{:>16}  {:>16}  {}",
            entry.offset,
            entry.length,
            kind.as_str().unwrap_or_default()
        );
    }
    Ok(ExitCode::SUCCESS)
}

async fn convert(
    source: Arc<OpenImage>,
    target: &Path,
    options: ConvertOptions,
    output: Output,
) -> Result<ExitCode> {
    for warning in source.warnings() {
        eprintln!("warning: {}", safe(warning));
    }
    let cancel = cancel_on_interrupt();
    let bar = byte_bar("converting");
    let shown = Bar(bar.clone());
    let target = target.to_owned();
    let begun = Instant::now();
    let report = tokio::task::spawn_blocking(move || {
        let resume = Resume::new(source.identity()?);
        let made = Conversion::new(options).resuming(resume).run(
            source.as_ref(),
            &target,
            &shown,
            &cancel,
        );
        if made.is_err() {
            // Only a kill leaves a partial target, for the next call to go on with.
            let _ = cofferdam_disk::discard(&target);
        }
        made
    })
    .await
    .context("the conversion ended unexpectedly")?;
    bar.finish_and_clear();
    let report = report?;
    if output == Output::Json {
        json(&report)?;
        return Ok(ExitCode::SUCCESS);
    }
    sayln!(
        "{}: {} of disk in {} of file, {:.1} s",
        report.target.display(),
        bytes(report.virtual_size),
        bytes(report.file_size),
        begun.elapsed().as_secs_f64()
    );
    Ok(ExitCode::SUCCESS)
}

async fn compare(
    a: &Path,
    b: &Path,
    format_a: Option<&str>,
    format_b: Option<&str>,
    output: Output,
) -> Result<ExitCode> {
    let (a, b) = (open(a, format_a)?, open(b, format_b)?);
    let cancel = cancel_on_interrupt();
    let bar = byte_bar("comparing");
    let shown = Bar(bar.clone());
    let result = tokio::task::spawn_blocking(move || {
        cofferdam_disk::compare(a.as_ref(), b.as_ref(), &shown, &cancel)
    })
    .await
    .context("the comparison ended unexpectedly")?;
    bar.finish_and_clear();
    let result = result?;
    let code = if result.identical {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(crate::exit::FAILED)
    };
    if output == Output::Json {
        json(&result)?;
        return Ok(code);
    }
    match result.first_difference {
        None if result.size_a == result.size_b => sayln!("the disks are identical"),
        None => sayln!(
            "the disks are identical but for their size ({} and {} bytes); the rest of the longer is zero",
            result.size_a,
            result.size_b
        ),
        Some(offset) => sayln!("the disks differ, first at byte {offset}"),
    }
    Ok(code)
}
