//! Walking real folders.

use std::fs;
use std::path::Path;

use pipeline::{Format, Walk, WalkError, WalkOptions, walk};

/// A folder with these files; each holds its own name.
fn folder(files: &[&str]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for file in files {
        let path = root.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
    root
}

fn sources(walk: &Walk) -> Vec<&str> {
    walk.files.iter().map(|file| file.source.as_str()).collect()
}

fn with(root: &Path, include: &[&str], exclude: &[&str]) -> Walk {
    let owned = |globs: &[&str]| globs.iter().map(|glob| (*glob).to_owned()).collect();
    let options =
        WalkOptions { include: owned(include), exclude: owned(exclude), ..WalkOptions::default() };
    walk(root, &options).unwrap()
}

#[test]
fn known_formats_in_order_without_hidden_files() {
    let root =
        folder(&["b.md", "a/z.txt", "a/b/c.py", "photo.jpg", ".secret.md", ".git/x.md", "A.html"]);
    let found = walk(root.path(), &WalkOptions::default()).unwrap();
    assert_eq!(sources(&found), ["A.html", "a/b/c.py", "a/z.txt", "b.md"]);
    assert_eq!(found.unknown, 1);
    assert_eq!(found.files[0].format, Format::Html);
    assert_eq!(found.files[3].bytes, 4);
    assert_eq!(found.files[3].path, root.path().join("b.md"));
    let options = WalkOptions { hidden: true, ..WalkOptions::default() };
    assert_eq!(walk(root.path(), &options).unwrap().files.len(), 6);
}

#[test]
fn patterns_choose() {
    let root =
        folder(&["a.md", "docs/b.md", "docs/deep/c.md", "docs/d.weird", "node_modules/e.md"]);
    let root = root.path();
    assert_eq!(sources(&with(root, &["docs/*.md"], &[])), ["docs/b.md"]);
    assert_eq!(sources(&with(root, &["docs/"], &["deep"])), ["docs/b.md", "docs/d.weird"]);
    assert_eq!(
        sources(&with(root, &[], &["node_modules", "/a.md"])),
        ["docs/b.md", "docs/deep/c.md"]
    );
    assert_eq!(sources(&with(root, &["*.md"], &["*.md"])), Vec::<&str>::new());
    let weird = with(root, &["*.weird"], &[]);
    assert_eq!(weird.files[0].format, Format::Text);
}

#[test]
fn bad_patterns_and_missing_roots_are_errors() {
    let root = folder(&["a.md"]);
    let options = WalkOptions { exclude: vec!["[z-a]".to_owned()], ..WalkOptions::default() };
    let error = walk(root.path(), &options).unwrap_err();
    assert!(matches!(&error, WalkError::Pattern { pattern, .. } if pattern == "[z-a]"), "{error}");
    let error = walk(&root.path().join("gone"), &WalkOptions::default()).unwrap_err();
    assert!(error.to_string().contains("gone"), "{error}");
}

#[test]
fn gitignore_is_honoured_on_request_even_against_include() {
    let root = folder(&["a.md", "build/b.md", "keep.md"]);
    fs::write(root.path().join(".gitignore"), "build/\n/a.md\n").unwrap();
    assert_eq!(walk(root.path(), &WalkOptions::default()).unwrap().files.len(), 3);
    let options = WalkOptions {
        include: vec!["*.md".to_owned()],
        respect_gitignore: true,
        ..WalkOptions::default()
    };
    assert_eq!(sources(&walk(root.path(), &options).unwrap()), ["keep.md"]);
}

#[test]
fn a_file_is_its_own_root() {
    let root = folder(&["dir/notes.unknown", "dir/page.html"]);
    let found = with(&root.path().join("dir/notes.unknown"), &["*.md"], &[]);
    assert_eq!(sources(&found), ["notes.unknown"]);
    assert_eq!(found.files[0].format, Format::Text);
}

#[test]
fn large_files_are_reported() {
    let root = folder(&["small.md", "a-much-larger-file.md"]);
    let options = WalkOptions { max_file_bytes: 10, ..WalkOptions::default() };
    let found = walk(root.path(), &options).unwrap();
    assert_eq!(sources(&found), ["small.md"]);
    assert_eq!(found.skipped[0].source, "a-much-larger-file.md");
    assert_eq!(found.skipped[0].reason, "21 bytes, more than the limit of 10");
}

#[test]
fn databases_are_not_entered() {
    let root = folder(&["a.md", "notes.rac/FORMAT", "notes.rac/collections/notes/000001.log"]);
    assert_eq!(sources(&walk(root.path(), &WalkOptions::default()).unwrap()), ["a.md"]);
}

#[cfg(unix)]
#[test]
fn links_are_reported_and_not_followed_but_a_root_may_be_one() {
    use std::os::unix::fs::symlink;
    let root = folder(&["real/a.md"]);
    symlink(root.path().join("real"), root.path().join("loop")).unwrap();
    symlink("a.md", root.path().join("real/b.md")).unwrap();
    let found = walk(root.path(), &WalkOptions::default()).unwrap();
    assert_eq!(sources(&found), ["real/a.md"]);
    assert_eq!(found.skipped.len(), 1);
    assert_eq!(found.skipped[0].source, "real/b.md");
    let found = walk(&root.path().join("loop"), &WalkOptions::default()).unwrap();
    assert_eq!(sources(&found), ["a.md"]);
}

#[cfg(unix)]
#[test]
fn names_that_are_not_unicode_do_not_collide() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let root = folder(&[]);
    for name in [&b"\xff.md"[..], b"\xfe.md"] {
        fs::write(root.path().join(OsStr::from_bytes(name)), "x").unwrap();
    }
    let found = walk(root.path(), &WalkOptions::default()).unwrap();
    assert_eq!(sources(&found), ["\u{fffd}.md"]);
    assert_eq!(found.skipped.len(), 1);
}

/// Root may read everything, so as root there is nothing to see here.
#[cfg(unix)]
#[test]
fn an_unreadable_folder_is_reported() {
    use std::os::unix::fs::PermissionsExt;
    let root = folder(&["a.md", "closed/b.md"]);
    let closed = root.path().join("closed");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    let readable = fs::read_dir(&closed).is_ok();
    let found = walk(root.path(), &WalkOptions::default());
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
    let found = found.unwrap();
    if readable {
        assert_eq!(found.files.len(), 2);
    } else {
        assert_eq!(sources(&found), ["a.md"]);
        assert_eq!(found.skipped[0].source, "closed");
        assert!(found.skipped[0].reason.to_lowercase().contains("permission"));
    }
}
