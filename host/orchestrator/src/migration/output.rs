//! The output folder, and in it the folder of what is not finished.
//!
//! Whoever finds a disk in the output folder finds all disks of the machine, each whole,
//! with their report: everything is made in a hidden folder beside and moved into place at
//! the end, reports first. Nothing that somebody else put there is replaced. What was moved
//! is known again by its inode, so that moving goes on after a kill at any point.
//!
//! The hidden folder belongs to one run at a time, by a lock while it works and by a name
//! while it does not; another run that finds it unlocked clears it.

use super::report::{NewDisk, Report, write_whole};
use crate::MigrateError;
use crate::filelock::FileLock;
use cofferdam_disk::DiskError;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The folder in the output folder that holds what is not finished.
const STAGING: &str = ".cofferdam-unfinished";
const LOCK: &str = "lock";
const OWNER: &str = "owner.json";
/// The reports, in the order in which they are moved into place.
const REPORTS: [&str; 2] = ["report.json", "report.md"];

/// A disk that is complete and waits to be moved into place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopiedDisk {
    /// What the report says of it.
    #[serde(flatten)]
    pub disk: NewDisk,
    /// What its file is known by, under whichever name.
    pub inode: u64,
}

/// Whose the unfinished files are.
#[derive(Serialize, Deserialize)]
struct Owner {
    /// The run's own name for this.
    key: String,
    /// Whether the output folder was made for it.
    made: bool,
}

/// Where a migration's files go.
pub struct Output {
    folder: PathBuf,
    staging: PathBuf,
    made: bool,
    /// Whether what is unfinished is left for the next attempt when this is dropped.
    keep: bool,
    _lock: FileLock,
}

fn file_error(what: &'static str, path: &Path) -> impl Fn(std::io::Error) -> MigrateError {
    let path = path.display().to_string();
    move |source| MigrateError::File {
        what,
        path: path.clone(),
        source,
    }
}

fn exists(path: &Path) -> MigrateError {
    MigrateError::Disk(DiskError::Exists {
        path: path.display().to_string(),
    })
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

impl Output {
    /// Whether the folder can take these disks: their names and those of the reports are
    /// free. Nothing is made.
    ///
    /// # Errors
    /// What is there already, or that the folder is none.
    pub fn check(folder: &Path, disks: &[String]) -> Result<(), MigrateError> {
        for disk in disks {
            if is_there(&folder.join(disk)) {
                return Err(exists(&folder.join(disk)));
            }
        }
        // Only a report that an interrupted run left without its disks may be replaced.
        for name in REPORTS {
            if is_there(&folder.join(name)) && !is_stale(folder) {
                return Err(exists(&folder.join(name)));
            }
        }
        if folder.exists() && !folder.is_dir() {
            let not = std::io::Error::from(ErrorKind::NotADirectory);
            return Err(file_error("cannot use the output folder", folder)(not));
        }
        Ok(())
    }

    /// Makes the folder where needed, clears what an interrupted run left in it, and keeps
    /// other runs out of it. `disks` are the names that must be free. What is unfinished
    /// when this is dropped is removed.
    ///
    /// # Errors
    /// A disk or finished report that is there already; another run at work.
    pub fn prepare(folder: &Path, disks: &[String]) -> Result<Self, MigrateError> {
        Self::check(folder, disks)?;
        let mut this = Self::lock(folder)?;
        this.clear()?;
        this.keep = false;
        Ok(this)
    }

    /// As [`Output::prepare`] for the run that calls itself `key` here: what its earlier
    /// attempts left is kept, also when this is dropped.
    ///
    /// # Errors
    /// As [`Output::prepare`].
    pub fn of_run(folder: &Path, disks: &[String], key: &str) -> Result<Self, MigrateError> {
        let mut this = Self::lock(folder)?;
        if let Some(owner) = this.owner().filter(|owner| owner.key == key) {
            this.made = owner.made;
            return Ok(this);
        }
        let taken = Self::check(folder, disks).and_then(|()| {
            this.clear()?;
            let owner = Owner {
                key: key.to_owned(),
                made: this.made,
            };
            let json = serde_json::to_vec(&owner);
            let json = json.map_err(|error| MigrateError::Host(error.to_string()))?;
            write_whole(&this.staging.join(OWNER), &json)
        });
        match taken {
            Ok(()) => Ok(this),
            Err(error) => {
                // Somebody else's disk is there, and nothing of this run.
                this.keep = this.owner().is_some();
                Err(error)
            }
        }
    }

    /// Removes what the run that calls itself `key` left unfinished.
    ///
    /// # Errors
    /// [`DiskError::Locked`] while it works.
    pub fn discard(folder: &Path, key: &str) -> Result<(), MigrateError> {
        if !folder.join(STAGING).is_dir() {
            return Ok(());
        }
        let mut this = Self::lock(folder)?;
        if let Some(owner) = this.owner().filter(|owner| owner.key == key) {
            this.made = owner.made;
            this.keep = false;
        }
        Ok(())
    }

    fn lock(folder: &Path) -> Result<Self, MigrateError> {
        let staging = folder.join(STAGING);
        let made = !folder.exists();
        std::fs::create_dir_all(&staging)
            .map_err(file_error("cannot make the output folder", folder))?;
        let lock = File::create(staging.join(LOCK))
            .map_err(file_error("cannot write to the output folder", folder))?;
        let lock = FileLock::take(lock)
            .map_err(file_error("cannot lock", &staging.join(LOCK)))?
            .ok_or_else(|| {
                MigrateError::Disk(DiskError::Locked {
                    path: staging.display().to_string(),
                })
            })?;
        Ok(Self {
            folder: folder.to_owned(),
            staging,
            made,
            keep: true,
            _lock: lock,
        })
    }

    fn owner(&self) -> Option<Owner> {
        let json = std::fs::read(self.staging.join(OWNER)).ok()?;
        serde_json::from_slice(&json).ok()
    }

    fn clear(&self) -> Result<(), MigrateError> {
        let read = file_error("cannot read", &self.staging);
        for entry in std::fs::read_dir(&self.staging).map_err(&read)? {
            let entry = entry.map_err(&read)?;
            if entry.file_name() != LOCK {
                std::fs::remove_file(entry.path())
                    .map_err(file_error("cannot clear", &entry.path()))?;
            }
        }
        Ok(())
    }

    /// Where a file is until it is moved into place.
    pub fn staged(&self, name: &str) -> PathBuf {
        self.staging.join(name)
    }

    /// Moves the disks to their places, and `report` before them. If an earlier attempt had
    /// begun to, this goes on, and that attempt's report is the result. Afterwards nothing
    /// unfinished is left.
    ///
    /// # Errors
    /// [`DiskError::Exists`] for what somebody else put there; then nothing has been moved.
    pub fn publish(mut self, disks: &[CopiedDisk], report: Report) -> Result<Report, MigrateError> {
        let is_moved = |copied: &CopiedDisk| is_it(&self.folder.join(&copied.disk.file), copied);
        let report = match read_report(&self.folder).filter(|_| disks.iter().any(is_moved)) {
            Some(earlier) => earlier,
            None => {
                for (name, bytes) in REPORTS
                    .iter()
                    .zip([report.json()?, report.markdown().into_bytes()])
                {
                    write_whole(&self.staging.join(name), &bytes)?;
                }
                report
            }
        };
        let mut moved = Vec::new();
        if let Err(error) = self.move_all(disks, &mut moved) {
            // Some of the disks would look like all of them.
            for name in moved {
                let _ =
                    cofferdam_disk::rename_new(&self.folder.join(name), &self.staging.join(name));
            }
            return Err(error);
        }
        File::open(&self.folder)
            .and_then(|folder| folder.sync_all())
            .map_err(file_error("cannot sync", &self.folder))?;
        self.keep = false;
        Ok(report)
    }

    /// Moves the files in order; `moved` gets the names of those that were.
    fn move_all<'a>(
        &self,
        disks: &'a [CopiedDisk],
        moved: &mut Vec<&'a str>,
    ) -> Result<(), MigrateError> {
        // Before the first is moved, which then is such a report itself.
        let stale = is_stale(&self.folder);
        for name in REPORTS {
            let (from, to) = (self.staging.join(name), self.folder.join(name));
            if is_there(&from) {
                let renamed = if stale {
                    std::fs::rename(&from, &to)
                } else {
                    cofferdam_disk::rename_new(&from, &to)
                };
                renamed.map_err(move_error(&to))?;
                moved.push(name);
            }
        }
        for copied in disks {
            let name = &copied.disk.file;
            let (from, to) = (self.staging.join(name), self.folder.join(name));
            if is_there(&from) {
                cofferdam_disk::rename_new(&from, &to).map_err(move_error(&to))?;
                moved.push(name);
            } else if !is_it(&to, copied) {
                return Err(MigrateError::Host(format!(
                    "{} is gone; somebody removed it",
                    from.display()
                )));
            }
        }
        Ok(())
    }
}

fn move_error(to: &Path) -> impl Fn(std::io::Error) -> MigrateError {
    let to = to.to_owned();
    move |error| match error.kind() {
        ErrorKind::AlreadyExists => exists(&to),
        _ => file_error("cannot move into place", &to)(error),
    }
}

/// Whether the file at `path` is this disk.
fn is_it(path: &Path, copied: &CopiedDisk) -> bool {
    path.symlink_metadata()
        .is_ok_and(|found| (found.ino(), found.len()) == (copied.inode, copied.disk.file_size))
}

/// The report of disks that were all moved into place, if they were: what is left of a
/// finished run whose end nobody heard.
pub fn published(folder: &Path, disks: &[CopiedDisk]) -> Option<Report> {
    let all = disks
        .iter()
        .all(|copied| is_it(&folder.join(&copied.disk.file), copied));
    read_report(folder).filter(|_| all && !disks.is_empty())
}

fn read_report(folder: &Path) -> Option<Report> {
    let bytes = std::fs::read(folder.join("report.json")).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Whether the folder's report names disks that are not there.
fn is_stale(folder: &Path) -> bool {
    read_report(folder).is_some_and(|report| {
        let present = |disk: &NewDisk| folder.join(&disk.file).exists();
        !report.disks.iter().any(present)
    })
}

impl Drop for Output {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        // What cannot be removed now is cleared by the next run.
        let _ = std::fs::remove_dir_all(&self.staging);
        if self.made {
            // Succeeds only where nothing was put into it.
            let _ = std::fs::remove_dir(&self.folder);
        }
    }
}
