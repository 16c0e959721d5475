//! A crash between any two changes to the files, and what is found after it.
//!
//! A recorder writes down what a random history does to its files. From that, a model of a medium
//! makes what a crash could leave at each moment; each is opened, checked and read. The history
//! goes on with one of them, so that what opening does is crashed too.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use database::disk::Disk;
use database::{Database, Durability, Error, verify};

use crate::history::{Content, Setting, State, drop_collection, read, weights_below};
use crate::medium::{Fate, Image, Medium, materialise};
use crate::random::Random;
use crate::recorder::{Bounds, Recorded, Recorder};
use crate::scratch_folder;

/// The name of a backup, which says which state it is of.
type Backup = String;

/// What one history came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Different things that a crash could leave, each opened and checked.
    pub(crate) crash_points: usize,
    /// Changes to files, between any two of which there was a crash.
    pub(crate) changes: usize,
    /// Transactions and other steps of the histories.
    pub(crate) steps: usize,
}

/// Plays the history that `random` chooses, in so many lives, each of which ends with a crash, and
/// all of its crashes.
///
/// # Panics
/// Where a crash leaves anything but a state that it may leave.
pub(crate) fn crash_everywhere(name: &str, mut random: Random, lives: usize) -> Tally {
    let setting = Setting::new(&mut random);
    let folder = scratch_folder();
    let mut tally = Tally::default();
    let mut states: Vec<State> = vec![None];
    let mut backups: Vec<Backup> = Vec::new();
    let mut bounds = Bounds { promised: 0, possible: 0, backups: 0 };
    let mut image = Image::new();
    let mut medium = Medium::new(Path::new("/"), &image);
    for life in 0..lives {
        let root = folder.path().join(format!("life-{life}"));
        materialise(&image, &root);
        medium = medium.moved(&root);
        let recorder = Arc::new(Recorder::new(bounds));
        // What the last crash left undone is not there for sure.
        backups.truncate(bounds.backups);
        tally.steps += live(&setting, &root, &recorder, &mut states, &mut backups, &mut random);
        let (tape, last) = recorder.take();
        tally.changes += tape.len();
        let end = random.below(tape.len() + 1);
        let mut tested = HashSet::new();
        let mut next = None;
        for moment in 0..=tape.len() {
            let bounds = tape.get(moment).map_or(last, |recorded| recorded.before);
            for fate in [Fate::Lost, Fate::Kept, Fate::Ordered, Fate::Reordered, Fate::Reordered] {
                let image = medium.image(fate, &mut random);
                if !tested.insert(fingerprint(&image, bounds)) {
                    continue;
                }
                tally.crash_points += 1;
                let path = folder.path().join("crashed");
                materialise(&image, &path);
                let outcome = catch_unwind(AssertUnwindSafe(|| {
                    check(&setting, &path, &states, bounds)?;
                    check_backups(&path, &states, &backups[..bounds.backups])
                }));
                let outcome = outcome.unwrap_or_else(|_| Err("a panic, see above".to_owned()));
                if let Err(what) = outcome {
                    let kept = folder.keep();
                    let around = &tape[moment.saturating_sub(6)..(moment + 1).min(tape.len())];
                    panic!(
                        "{name}, life {life}, before change {moment}, unsynced {fate:?}, \
                         {setting:?}: {what}\nwhat the crash left, after it was opened: {}\n{}",
                        kept.join("crashed").display(),
                        describe(around),
                    );
                }
                std::fs::remove_dir_all(&path).expect("remove the image");
            }
            if moment == end {
                next = Some(match random.one_in(2) {
                    // The process was killed: what is pending stays so.
                    true => (medium.image(Fate::Kept, &mut random), medium.clone(), bounds),
                    false => {
                        let image = medium.image(Fate::Reordered, &mut random);
                        (image.clone(), Medium::new(&root, &image), bounds)
                    }
                });
            }
            if let Some(recorded) = tape.get(moment) {
                medium.apply(&recorded.step);
            }
        }
        (image, medium, bounds) = next.expect("the end is one of the moments");
    }
    tally
}

/// Opens the database, does random things with it and leaves; returns how many.
fn live(
    setting: &Setting,
    root: &Path,
    recorder: &Arc<Recorder>,
    states: &mut Vec<State>,
    backups: &mut Vec<Backup>,
    random: &mut Random,
) -> usize {
    let path = root.join("db");
    let disk = Disk::intercepted(recorder.clone());
    let mut database = setting.open(&path, disk.clone()).expect("open");
    // What the last crash left is a state of its own from here on, and on the medium.
    states.push(read(&database).expect("read"));
    recorder.asked_for(states.len() - 1);
    recorder.promised(states.len() - 1);
    let steps = 6 + random.below(12);
    for _ in 0..steps {
        let mut state = states.last().cloned().flatten();
        let is_missing = state.is_none();
        let content = state.get_or_insert_default();
        if is_missing {
            states.push(state);
            recorder.asked_for(states.len() - 1);
            setting.collection(&database).expect("create");
            recorder.promised(states.len() - 1);
            continue;
        }
        let collection = setting.collection(&database).expect("get");
        let mut change = |state: State| {
            states.push(state);
            recorder.asked_for(states.len() - 1);
        };
        match random.below(21) {
            0..10 => {
                let transaction = setting.transaction(random);
                content.apply(&transaction);
                change(state);
                collection.write(transaction).expect("write");
            }
            10 => {
                let weight = random.below(6);
                content.delete_below(weight);
                change(state);
                collection.delete_where(&weights_below(weight)).expect("delete");
            }
            11 => {
                let ids: Vec<_> = content.records.keys().take(random.below(9)).cloned().collect();
                content.records.retain(|id, _| !ids.contains(id));
                change(state);
                collection.delete(&ids).expect("delete");
            }
            12..14 => collection.compact().expect("compact"),
            14..16 => collection.optimize().expect("optimize"),
            16 if random.one_in(3) => {
                change(None);
                drop_collection(&database).expect("drop");
                recorder.promised(states.len() - 1);
            }
            16 | 17 => {
                drop(collection);
                database.close().expect("close");
                recorder.promised(states.len() - 1);
                database = setting.open(&path, disk.clone()).expect("open again");
                assert_eq!(read(&database).expect("read"), states[states.len() - 1]);
            }
            18 => {
                let state = states.len() - 1;
                let name = root.file_name().expect("a name").to_string_lossy();
                let name = format!("backup-{name}-{}-of-{state}", backups.len());
                let go_on = |_, _| ControlFlow::Continue(());
                let snapshot = database.snapshot().expect("snapshot");
                snapshot.backup(root.join(&name), &go_on).expect("backup");
                backups.push(name);
                recorder.promised_backups(backups.len());
            }
            _ => {
                database.flush().expect("flush");
                recorder.promised(states.len() - 1);
            }
        }
        if setting.durability == Durability::Sync {
            recorder.promised(states.len() - 1);
        }
    }
    // Half of the lives end well: then there is a crash while closing, too.
    if random.one_in(2) {
        database.close().expect("close");
        recorder.promised(states.len() - 1);
    }
    steps
}

/// Opens what a crash left.
fn check(setting: &Setting, root: &Path, states: &[State], bounds: Bounds) -> Result<(), String> {
    let path = root.join("db");
    let failed = |what: &'static str| move |error: Error| format!("{what}: {error}");
    if states[bounds.promised].is_some() {
        // A crash is not damage.
        let report = verify(&path).map_err(failed("verify before opening"))?;
        if !report.is_sound() {
            return Err(format!("verify before opening: {report:?}"));
        }
    }
    let found = {
        let database = setting.open(&path, Disk::default()).map_err(failed("open"))?;
        let found = read(&database).map_err(failed("read"))?;
        database.close().map_err(failed("close"))?;
        found
    };
    let report = verify(&path).map_err(failed("verify"))?;
    if !report.is_sound() {
        return Err(format!("verify: {report:?}"));
    }
    if !states[bounds.promised..=bounds.possible].contains(&found) {
        let place = states.iter().position(|state| *state == found);
        return Err(format!(
            "found state {place:?}, promised was {}, possible {}; it has {}",
            bounds.promised,
            bounds.possible,
            summary(&found)
        ));
    }
    Ok(())
}

/// A backup is there as a whole or not at all, and those that were done are there.
fn check_backups(root: &Path, states: &[State], promised: &[Backup]) -> Result<(), String> {
    let entries = std::fs::read_dir(root).map_err(|error| error.to_string())?;
    let names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("backup-"))
        .collect();
    if let Some(missing) = promised.iter().find(|name| !names.contains(name)) {
        return Err(format!("{missing} is missing"));
    }
    for name in names.iter().filter(|name| !name.ends_with(".tmp")) {
        let failed = |error: Error| format!("{name}: {error}");
        let report = verify(root.join(name)).map_err(failed)?;
        if !report.is_sound() || report.collections.iter().any(|it| it.unfinished_bytes > 0) {
            return Err(format!("{name}: {report:?}"));
        }
        let database = Database::open_read_only(root.join(name)).map_err(failed)?;
        let found = read(&database).map_err(failed)?;
        let state: usize = name.rsplit('-').next().and_then(|n| n.parse().ok()).expect("a number");
        if found != states[state] {
            return Err(format!("{name} has {}", summary(&found)));
        }
    }
    for name in names.iter().filter_map(|name| name.strip_suffix(".tmp")) {
        if !root.join(name).exists() && Database::open_read_only(root.join(name)).is_ok() {
            return Err(format!("{name} is half of a backup, and opens"));
        }
    }
    Ok(())
}

fn summary(state: &State) -> String {
    match state {
        None => "no collection".to_owned(),
        Some(Content { records, documents }) => {
            format!("{} records, {} documents", records.len(), documents.len())
        }
    }
}

fn fingerprint(image: &Image, bounds: Bounds) -> u64 {
    let mut hasher = DefaultHasher::new();
    (image, bounds).hash(&mut hasher);
    hasher.finish()
}

fn describe(tape: &[Recorded]) -> String {
    let line = |recorded: &Recorded| {
        let text = format!("{:?}", recorded.step);
        format!("  {} {:?}\n", text.chars().take(160).collect::<String>(), recorded.before)
    };
    tape.iter().map(line).collect()
}
