//! What is on the medium, what is only on its way there, and what a power failure makes of it.
//!
//! A file's bytes are on the medium once the file was synced, a name once its folder was. Of all
//! else any part may be missing: of each write any sectors, of the changes to a folder's names any
//! of them. Only cutting a file off comes before later writes to it, as
//! `docs/durability.md` assumes.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use crate::random::Random;
use crate::recorder::Step;

/// Files by path, relative to a root; `None` is a folder.
pub(crate) type Image = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// What becomes of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is all lost.
    Lost,
    /// It is all there, as after the end of a process.
    Kept,
    /// Names change in their order up to some point; bytes are there or not, sector by sector.
    Ordered,
    /// Names change or not, each by itself; bytes as above.
    Reordered,
}

#[derive(Clone)]
pub(crate) struct Medium {
    root: PathBuf,
    nodes: Vec<Node>,
    open: HashMap<u64, usize>,
}

#[derive(Clone)]
enum Node {
    File { synced: Vec<u8>, pending: Vec<Edit> },
    Folder { synced: Names, now: Names, pending: Vec<Renaming> },
}

type Names = BTreeMap<String, usize>;

#[derive(Clone)]
enum Edit {
    Write { offset: usize, bytes: Vec<u8> },
    SetLength(usize),
}

#[derive(Clone)]
enum Renaming {
    Set { name: String, node: usize },
    Remove { name: String },
    Move { from: String, to: String, node: usize },
}

impl Renaming {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Set { name, node } => drop(names.insert(name.clone(), *node)),
            Self::Remove { name } => drop(names.remove(name)),
            Self::Move { from, to, node } => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
        }
    }
}

impl Edit {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::SetLength(length) => content.resize(*length, 0),
            Self::Write { offset, bytes } => put(content, *offset, bytes, 0),
        }
    }
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8], fill: u8) {
    if content.len() < offset + bytes.len() {
        content.resize(offset + bytes.len(), fill);
    }
    content[offset..offset + bytes.len()].copy_from_slice(bytes);
}

fn empty_folder() -> Node {
    Node::Folder { synced: Names::new(), now: Names::new(), pending: Vec::new() }
}

impl Medium {
    /// A medium that holds these files and nothing else, all of it synced, seen at `root`.
    pub(crate) fn new(root: &Path, image: &Image) -> Self {
        let mut medium =
            Self { root: root.to_owned(), nodes: vec![empty_folder()], open: HashMap::new() };
        for (path, content) in image {
            let node = match content {
                Some(bytes) => Node::File { synced: bytes.clone(), pending: Vec::new() },
                None => empty_folder(),
            };
            let number = medium.add(node);
            let (folder, name) = medium.place(&root.join(path));
            let Node::Folder { synced, now, .. } = &mut medium.nodes[folder] else {
                panic!("{path:?} is in a file")
            };
            synced.insert(name.clone(), number);
            now.insert(name, number);
        }
        medium
    }

    /// The same medium, whose root is now seen elsewhere, by a process that has nothing open.
    pub(crate) fn moved(mut self, root: &Path) -> Self {
        self.root = root.to_owned();
        self.open.clear();
        self
    }

    fn add(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// The folder that a path is in, and its name there.
    fn place(&self, path: &Path) -> (usize, String) {
        let parent = path.parent().expect("a parent");
        let name = path.file_name().expect("a name").to_str().expect("UTF-8");
        (self.find(parent).expect("the folder is there"), name.to_owned())
    }

    fn find(&self, path: &Path) -> Option<usize> {
        let inside = path.strip_prefix(&self.root).expect("inside the root");
        inside.iter().try_fold(0, |node, name| match &self.nodes[node] {
            Node::Folder { now, .. } => now.get(name.to_str().expect("UTF-8")).copied(),
            Node::File { .. } => None,
        })
    }

    fn change_names(&mut self, folder: usize, change: Renaming) {
        let Node::Folder { now, pending, .. } = &mut self.nodes[folder] else {
            panic!("not a folder")
        };
        change.apply(now);
        pending.push(change);
    }

    fn edit(&mut self, file: u64, edit: Edit) {
        let Node::File { pending, .. } = &mut self.nodes[self.open[&file]] else {
            panic!("not a file")
        };
        pending.push(edit);
    }

    pub(crate) fn apply(&mut self, step: &Step) {
        match step {
            Step::Create { path, file } => match self.find(path) {
                Some(node) => {
                    self.open.insert(*file, node);
                    self.edit(*file, Edit::SetLength(0));
                }
                None => {
                    let node = self.add(Node::File { synced: Vec::new(), pending: Vec::new() });
                    let (folder, name) = self.place(path);
                    self.change_names(folder, Renaming::Set { name, node });
                    self.open.insert(*file, node);
                }
            },
            Step::Open { path, file } => {
                let node = self.find(path).expect("the file is there");
                self.open.insert(*file, node);
            }
            Step::Write { file, offset, bytes } => {
                self.edit(*file, Edit::Write { offset: *offset as usize, bytes: bytes.clone() });
            }
            Step::SetLength { file, length } => {
                self.edit(*file, Edit::SetLength(*length as usize));
            }
            Step::SyncFile { file } => {
                let Node::File { synced, pending } = &mut self.nodes[self.open[file]] else {
                    panic!("not a file")
                };
                pending.drain(..).for_each(|edit| edit.apply(synced));
            }
            Step::CreateFolder { path } => {
                let node = self.add(empty_folder());
                let (folder, name) = self.place(path);
                self.change_names(folder, Renaming::Set { name, node });
            }
            Step::SyncFolder { path } => {
                let folder = self.find(path).expect("the folder is there");
                let Node::Folder { synced, now, pending } = &mut self.nodes[folder] else {
                    panic!("not a folder")
                };
                synced.clone_from(now);
                pending.clear();
            }
            Step::Rename { from, to } => {
                let node = self.find(from).expect("what is renamed is there");
                let ((folder, from), (target, to)) = (self.place(from), self.place(to));
                assert_eq!(folder, target, "names change inside of one folder");
                self.change_names(folder, Renaming::Move { from, to, node });
            }
            Step::Link { from, to } => {
                let node = self.find(from).expect("what is linked is there");
                let (folder, name) = self.place(to);
                self.change_names(folder, Renaming::Set { name, node });
            }
            Step::RemoveFile { path } => {
                let (folder, name) = self.place(path);
                self.change_names(folder, Renaming::Remove { name });
            }
            Step::RemoveFolder { path } => self.remove_folder(path),
        }
    }

    /// Not at once: what is inside goes first.
    fn remove_folder(&mut self, path: &Path) {
        let number = self.find(path).expect("the folder is there");
        let Node::Folder { now, .. } = &self.nodes[number] else { panic!("not a folder") };
        for (name, node) in now.clone() {
            match &self.nodes[node] {
                Node::Folder { .. } => self.remove_folder(&path.join(name)),
                Node::File { .. } => self.change_names(number, Renaming::Remove { name }),
            }
        }
        let (folder, name) = self.place(path);
        self.change_names(folder, Renaming::Remove { name });
    }

    /// What is found after a power failure now.
    pub(crate) fn image(&self, fate: Fate, random: &mut Random) -> Image {
        let mut image = Image::new();
        self.add_to_image(0, Path::new(""), fate, random, &mut image);
        image
    }

    fn add_to_image(
        &self,
        folder: usize,
        path: &Path,
        fate: Fate,
        random: &mut Random,
        image: &mut Image,
    ) {
        let Node::Folder { synced, pending, .. } = &self.nodes[folder] else {
            panic!("not a folder")
        };
        let mut names = synced.clone();
        let kept = random.below(pending.len() + 1);
        for (number, change) in pending.iter().enumerate() {
            let happened = match fate {
                Fate::Lost => false,
                Fate::Kept => true,
                Fate::Ordered => number < kept,
                Fate::Reordered => random.one_in(2),
            };
            if happened {
                change.apply(&mut names);
            }
        }
        for (name, node) in names {
            let path = path.join(name);
            match &self.nodes[node] {
                Node::Folder { .. } => {
                    image.insert(path.clone(), None);
                    self.add_to_image(node, &path, fate, random, image);
                }
                Node::File { synced, pending } => {
                    let content = match fate {
                        Fate::Lost => synced.clone(),
                        Fate::Kept => {
                            let mut content = synced.clone();
                            pending.iter().for_each(|edit| edit.apply(&mut content));
                            content
                        }
                        Fate::Ordered | Fate::Reordered => torn(synced, pending, random),
                    };
                    image.insert(path, Some(content));
                }
            }
        }
    }
}

/// Some of the edits, some of each write's sectors.
fn torn(synced: &[u8], pending: &[Edit], random: &mut Random) -> Vec<u8> {
    let mut content = synced.to_vec();
    let cuts = pending.iter().filter(|edit| matches!(edit, Edit::SetLength(_))).count();
    let mut cuts_left = random.below(cuts + 1);
    let sector = [8, 64, 512, 512, 4096][random.below(5)];
    // What is found in sectors that the file was given, but that were never written.
    let fill = if random.one_in(2) { 0 } else { 0xa5 };
    let mut length = content.len();
    for edit in pending {
        match edit {
            Edit::SetLength(_) if cuts_left == 0 => break,
            Edit::SetLength(cut) => {
                cuts_left -= 1;
                content.resize(*cut, 0);
                length = *cut;
            }
            Edit::Write { offset, bytes } => {
                length = length.max(offset + bytes.len());
                let (way, end) = (random.below(4), offset + bytes.len());
                let prefix = offset + random.below(bytes.len() + 1);
                let mut start = *offset;
                while start < end {
                    let stop = ((start / sector + 1) * sector).min(end);
                    let arrived = match way {
                        0 => true,
                        1 => false,
                        2 => stop <= prefix,
                        _ => random.one_in(2),
                    };
                    if arrived {
                        put(&mut content, start, &bytes[start - offset..stop - offset], fill);
                    }
                    start = stop;
                }
            }
        }
    }
    // The length may be on the medium though the bytes are not.
    if random.one_in(3) {
        content.resize(length.max(content.len()), fill);
    }
    content
}

/// Writes an image into a new folder.
pub(crate) fn materialise(image: &Image, root: &Path) {
    fs::create_dir(root).expect("create the image's folder");
    for (path, content) in image {
        match content {
            None => fs::create_dir(root.join(path)).expect("create a folder"),
            Some(bytes) => fs::write(root.join(path), bytes).expect("write a file"),
        }
    }
}
