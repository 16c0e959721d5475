//! What other processes see and do: locks, kills, file-size limits.
//!
//! Each test starts this very binary again, which finds a path in its environment and plays the
//! other process.

mod common;

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{collection, numbers, one, open_batch, open_sync};
use database::{Database, Error, Options, Transaction, verify};
use tempfile::tempdir;

const PATH_VARIABLE: &str = "DATABASE_TEST_PATH";

/// The path of the database, in the process that was started by the test of the same name.
fn role() -> Option<PathBuf> {
    env::var_os(PATH_VARIABLE).map(PathBuf::from)
}

fn this_binary() -> PathBuf {
    env::current_exe().unwrap()
}

fn start(mut command: Command, test: &str, path: &Path) -> Child {
    command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(PATH_VARIABLE, path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The numbers that a child says it has written, as `acknowledged N` lines.
fn acknowledged(child: &mut Child) -> impl Iterator<Item = i64> + use<> {
    let output = BufReader::new(child.stdout.take().unwrap());
    output.lines().map_while(Result::ok).filter_map(|line| {
        // The test harness may have begun the line.
        line.rsplit_once("acknowledged ")?.1.parse().ok()
    })
}

fn acknowledge(number: i64) {
    let mut output = std::io::stdout().lock();
    writeln!(output, "acknowledged {number}").unwrap();
    output.flush().unwrap();
}

#[test]
fn a_second_writer_is_told_who_holds_the_database() {
    if let Some(path) = role() {
        let _database = open_sync(&path);
        acknowledge(0);
        std::thread::sleep(Duration::from_secs(600));
        return;
    }
    let folder = tempdir().unwrap();
    let name = "a_second_writer_is_told_who_holds_the_database";
    let mut child = start(Command::new(this_binary()), name, folder.path());
    acknowledged(&mut child).next().unwrap();
    match Database::open(folder.path(), &Options::default()).err() {
        Some(error @ Error::Locked { .. }) => {
            assert!(error.to_string().contains(&child.id().to_string()), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert!(verify(folder.path()).unwrap().is_sound(), "verify needs no lock");
    child.kill().unwrap();
    child.wait().unwrap();

    let database = open_sync(folder.path());
    let error = Database::open(folder.path(), &Options::default()).err().unwrap();
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    database.close().unwrap();
    open_sync(folder.path());
}

#[test]
fn a_killed_writer_loses_nothing_that_was_acknowledged() {
    if let Some(path) = role() {
        let database = if path.ends_with("batch") { open_batch(&path) } else { open_sync(&path) };
        let records = collection(&database, 2);
        for number in records.len().unwrap() as i64 + 1.. {
            records.upsert(one(number)).unwrap();
            if number % 10 == 0 {
                let (deletes, upserts) = (vec![(number - 5).into()], one(number - 5));
                records.write(Transaction { deletes, upserts, documents: vec![] }).unwrap();
            }
            if number % 25 == 0 {
                records.compact().unwrap();
            }
            acknowledge(number);
        }
    }
    let folder = tempdir().unwrap();
    let name = "a_killed_writer_loses_nothing_that_was_acknowledged";
    for durability in ["batch", "sync"] {
        let path = folder.path().join(durability);
        let mut last = 0;
        for round in 0..6 {
            let mut child = start(Command::new(this_binary()), name, &path);
            let mut lines = acknowledged(&mut child);
            last = lines.by_ref().nth(7 * (round + 1)).expect("the writer goes on");
            child.kill().unwrap();
            child.wait().unwrap();
            last = lines.last().unwrap_or(last);
            let mut found = numbers(&collection(&open_sync(&path), 2));
            found.sort_unstable();
            // The write in progress may be there or not.
            found.retain(|number| *number <= last);
            assert_eq!(found, (1..=last).collect::<Vec<_>>(), "{durability} round {round}");
            assert!(verify(&path).unwrap().is_sound());
            collection(&open_sync(&path), 2).upsert(one(last + 1)).unwrap();
        }
        assert!(last > 50);
    }
}

/// A limit on the size of files makes writes fail just as a full disk does.
#[cfg(unix)]
#[test]
fn a_write_that_does_not_fit_changes_nothing_and_the_collection_goes_on() {
    if let Some(path) = role() {
        let database = open_sync(&path);
        let records = collection(&database, 2);
        let big = |number: i64, bytes: usize| database::Batch {
            texts: vec![Some("x".repeat(bytes))],
            ..one(number)
        };
        records.upsert(one(1)).unwrap();
        let before = records.stats().unwrap();
        let error = records.upsert(big(2, 1_000_000)).unwrap_err();
        assert!(matches!(error, Error::Io { doing: "write to", .. }), "{error}");
        assert_eq!(records.stats().unwrap(), before, "the log is as long as before");
        assert_eq!(numbers(&records), [1]);
        records.upsert(one(3)).unwrap();

        // A compaction makes room, since it writes no more than what is live.
        records.upsert(big(4, 120_000)).unwrap();
        records.upsert(big(5, 60_000)).unwrap();
        assert!(matches!(records.upsert(big(6, 90_000)), Err(Error::Io { .. })));
        records.delete(&[4.into()]).unwrap();
        records.compact().unwrap();
        records.upsert(big(6, 90_000)).unwrap();
        records.delete(&[5.into(), 6.into()]).unwrap();
        records.upsert(one(2)).unwrap();
        database.close().unwrap();
        acknowledge(0);
        return;
    }
    let folder = tempdir().unwrap();
    let mut shell = Command::new("sh");
    // 400 blocks of 512 bytes; without the trap the signal would end the process.
    let script = "trap '' XFSZ; ulimit -f 400 || exit 9; exec \"$0\" \"$@\"";
    shell.arg("-c").arg(script).arg(this_binary());
    let name = "a_write_that_does_not_fit_changes_nothing_and_the_collection_goes_on";
    let mut child = start(shell, name, folder.path());
    let done = acknowledged(&mut child).count();
    assert!(child.wait().unwrap().success());
    assert_eq!(done, 1, "the other process came to its end");
    let mut found = numbers(&collection(&open_sync(folder.path()), 2));
    found.sort_unstable();
    assert_eq!(found, [1, 2, 3]);
}
