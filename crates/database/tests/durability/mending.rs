//! Making a damaged collection sound is crashed between any two of its changes to files: whatever is left
//! is made sound to the same, and the damaged files are kept.

use std::collections::HashSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use database::disk::Disk;
use database::{Error, verify};

use crate::any_bytes::sound;
use crate::history::{Setting, State, read};
use crate::medium::{Fate, Image, Medium, materialise};
use crate::random::Random;
use crate::recorder::{Bounds, Recorder};
use crate::scratch_folder;

/// All that is in a folder.
fn image_of(root: &Path, folder: &Path, image: &mut Image) {
    for entry in fs::read_dir(folder).expect("list") {
        let path = entry.expect("entry").path();
        let inside = path.strip_prefix(root).expect("inside").to_owned();
        match path.is_dir() {
            true => {
                image.insert(inside, None);
                image_of(root, &path, image);
            }
            false => drop(image.insert(inside, Some(fs::read(&path).expect("read")))),
        }
    }
}

/// Damages the middle of the newest log and of a manifest; returns the damaged bytes of both.
fn damage(image: &mut Image, random: &mut Random) -> Vec<Vec<u8>> {
    let is_log = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "log");
    let log = image.keys().rfind(is_log).expect("a log").clone();
    let manifest = if random.one_in(2) { "MANIFEST" } else { "MANIFEST.copy" };
    let manifest = log.with_file_name(manifest);
    [log, manifest]
        .map(|path| {
            let bytes = image.get_mut(&path).and_then(Option::as_mut).expect("a file");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1 << random.below(8);
            bytes.clone()
        })
        .to_vec()
}

/// Opens what is there, makes it sound if it does not open, and reads it.
fn mended(setting: &Setting, root: &Path, disk: Disk) -> Result<State, Error> {
    let database = setting.open(&root.join("db"), disk)?;
    let found = match read(&database) {
        Err(Error::Corrupt { .. }) => {
            database.repair(true, &|_, _| ControlFlow::Continue(()))?;
            read(&database)
        }
        found => found,
    };
    database.close()?;
    found
}

fn check(
    setting: &Setting,
    root: &Path,
    expected: &State,
    damaged: &[Vec<u8>],
) -> Result<(), String> {
    let found = mended(setting, root, Disk::default()).map_err(|error| error.to_string())?;
    if found != *expected {
        return Err("something else is there".to_owned());
    }
    let report = verify(root.join("db")).map_err(|error| error.to_string())?;
    if !report.is_sound() {
        return Err(format!("{report:?}"));
    }
    let mut image = Image::new();
    image_of(root, root, &mut image);
    let is_kept = |bytes: &Vec<u8>| {
        let kept = |(path, content): (&PathBuf, &Option<Vec<u8>>)| {
            path.to_string_lossy().contains(".damaged") && content.as_ref() == Some(bytes)
        };
        image.iter().any(kept)
    };
    match damaged.iter().all(is_kept) {
        true => Ok(()),
        false => Err("a damaged file is gone".to_owned()),
    }
}

#[test]
fn a_crash_at_any_point_of_making_a_collection_sound_changes_nothing_about_what_it_comes_to() {
    let mut crash_points = 0;
    for seed in 0..6 {
        let mut random = Random::new(seed);
        let setting = Setting::without_background(&mut random);
        let folder = scratch_folder();
        let first = folder.path().join("sound");
        fs::create_dir(&first).expect("create");
        sound(&setting, &first.join("db"), &mut random);
        let mut image = Image::new();
        image_of(&first, &first, &mut image);
        let damaged = damage(&mut image, &mut random);

        let root = folder.path().join("mended");
        materialise(&image, &root);
        let recorder = Arc::new(Recorder::new(Bounds { promised: 0, possible: 0, backups: 0 }));
        let expected = mended(&setting, &root, Disk::intercepted(recorder.clone()));
        let expected = expected.expect("it is made sound");
        assert!(expected.as_ref().is_some_and(|content| !content.records.is_empty()));
        check(&setting, &root, &expected, &damaged).expect("at the end");

        let (tape, _) = recorder.take();
        let mut medium = Medium::new(&root, &image);
        let mut tested = HashSet::new();
        for moment in 0..=tape.len() {
            for fate in [Fate::Lost, Fate::Kept, Fate::Ordered, Fate::Reordered] {
                let image = medium.image(fate, &mut random);
                if !tested.insert(image.clone()) {
                    continue;
                }
                crash_points += 1;
                let path = folder.path().join("crashed");
                materialise(&image, &path);
                if let Err(what) = check(&setting, &path, &expected, &damaged) {
                    let kept = folder.keep();
                    let around = &tape[moment.saturating_sub(6)..(moment + 1).min(tape.len())];
                    panic!(
                        "seed {seed}, before change {moment}, unsynced {fate:?}: {what}; see {}; {:?}",
                        kept.display(),
                        around.iter().map(|recorded| &recorded.step).collect::<Vec<_>>()
                    );
                }
                fs::remove_dir_all(&path).expect("remove the image");
            }
            if let Some(recorded) = tape.get(moment) {
                medium.apply(&recorded.step);
            }
        }
    }
    println!("{crash_points} crash points");
    assert!(crash_points > 150, "{crash_points}");
}
