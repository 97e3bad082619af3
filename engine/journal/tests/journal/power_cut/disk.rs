//! A disk under a power cut: what was synced is there, what came later may be there, in part, or not.
//!
//! Strict: a file's sync makes nothing durable but the file, `sync_file_range` nothing at all, and entries of a
//! directory are durable only by a sync of that directory.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::ops::Range;
use std::path::Path;

use super::super::support::Chance;
use super::trace::Entry;

const SECTOR: usize = 512;
const PAGE_SECTORS: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    File(usize),
    Dir(usize),
}

#[derive(Clone, Debug)]
enum FileOp {
    Write { at: usize, data: Range<usize> },
    Resize(usize),
}

#[derive(Clone, Debug)]
enum DirOp {
    Insert(String, Node),
    Remove(String),
    Move(String, String),
}

/// A change that no sync covers yet; `ended` is the entry at which its call returned.
#[derive(Clone, Debug)]
struct Pending<Op> {
    id: u64,
    op: Op,
    ended: Option<usize>,
}

#[derive(Clone, Debug, Default)]
struct File {
    durable: Vec<u8>,
    pending: Vec<Pending<FileOp>>,
}

#[derive(Clone, Debug, Default)]
struct Dir {
    durable: BTreeMap<String, Node>,
    live: BTreeMap<String, Node>,
    pending: Vec<Pending<DirOp>>,
}

/// The disk after some entries of a trace.
#[derive(Clone, Debug)]
pub(crate) struct Disk<'a> {
    trace: &'a [u8],
    files: Vec<File>,
    dirs: Vec<Dir>,
    /// Syncs under way: the entry at which they started, and what they sync.
    syncs: HashMap<u64, (usize, Node)>,
    /// Syncs that succeeded, by path.
    pub(crate) synced: HashMap<String, u64>,
}

const ROOT: usize = 0;

impl<'a> Disk<'a> {
    /// Starts from the durable contents of `base`.
    pub(crate) fn new(trace: &'a [u8], base: &Path) -> Disk<'a> {
        let mut disk = Disk {
            trace,
            files: Vec::new(),
            dirs: vec![Dir::default()],
            syncs: HashMap::new(),
            synced: HashMap::new(),
        };
        disk.load(ROOT, base);
        disk
    }

    fn load(&mut self, into: usize, from: &Path) {
        for entry in fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let node = if path.is_dir() {
                let dir = self.add_dir();
                self.load(dir, &path);
                Node::Dir(dir)
            } else {
                self.files.push(File { durable: fs::read(&path).unwrap(), pending: Vec::new() });
                Node::File(self.files.len() - 1)
            };
            self.dirs[into].durable.insert(name.clone(), node);
            self.dirs[into].live.insert(name, node);
        }
    }

    fn add_dir(&mut self) -> usize {
        self.dirs.push(Dir::default());
        self.dirs.len() - 1
    }

    fn node(&self, path: &str) -> Option<Node> {
        path.split('/').filter(|name| !name.is_empty()).try_fold(Node::Dir(ROOT), |node, name| match node {
            Node::Dir(dir) => self.dirs[dir].live.get(name).copied(),
            Node::File(_) => None,
        })
    }

    fn file(&self, path: &str) -> usize {
        match self.node(path) {
            Some(Node::File(file)) => file,
            found => panic!("{path} is no file of the model: {found:?}"),
        }
    }

    fn parent(&self, path: &str) -> (usize, String) {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        match self.node(parent) {
            Some(Node::Dir(dir)) => (dir, name.to_owned()),
            found => panic!("{parent} is no directory of the model: {found:?}"),
        }
    }

    /// Returns how many changes to `path` no sync covers.
    pub(crate) fn pending(&self, path: &str) -> usize {
        self.files[self.file(path)].pending.len()
    }

    /// Carries out entry number `at`.
    pub(crate) fn step(&mut self, at: usize, entry: &Entry) {
        match entry.kind {
            b'W' => self.change_file(entry, FileOp::Write { at: entry.number as usize, data: entry.data.clone() }),
            b'T' => self.change_file(entry, FileOp::Resize(entry.number as usize)),
            b'C' => {
                self.files.push(File::default());
                let node = Node::File(self.files.len() - 1);
                self.insert(entry, node);
            }
            b'D' => {
                // A call that failed, for want of a parent or because it was there, has changed nothing.
                let parent = entry.path.rsplit_once('/').map_or("", |(parent, _)| parent);
                if self.node(&entry.path).is_none() && self.node(parent).is_some() {
                    let node = Node::Dir(self.add_dir());
                    self.insert(entry, node);
                }
            }
            b'U' => {
                let (dir, name) = self.parent(&entry.path);
                if self.dirs[dir].live.remove(&name).is_some() {
                    self.change_dir(dir, entry, DirOp::Remove(name));
                }
            }
            b'R' => {
                let to = std::str::from_utf8(&self.trace[entry.data.clone()]).unwrap().to_owned();
                let (dir, from) = self.parent(&entry.path);
                let (same, to) = self.parent(&to);
                assert_eq!(dir, same, "a rename between directories is not modelled");
                let node = self.dirs[dir].live.remove(&from).expect("what is renamed is there");
                self.dirs[dir].live.insert(to.clone(), node);
                self.change_dir(dir, entry, DirOp::Move(from, to));
            }
            b'S' => {
                let node = self.node(&entry.path).expect("what is synced is there");
                self.syncs.insert(entry.id, (at, node));
            }
            b's' => self.end_sync(entry),
            b'w' | b't' | b'c' | b'd' | b'u' | b'r' => self.end_change(at, entry.id),
            b'M' => (),
            kind => panic!("entry of kind {}", kind as char),
        }
        if entry.kind == b'S' {
            *self.synced.entry(entry.path.clone()).or_default() += 1;
        }
    }

    fn change_file(&mut self, entry: &Entry, op: FileOp) {
        let file = self.file(&entry.path);
        self.files[file].pending.push(Pending { id: entry.id, op, ended: None });
    }

    fn insert(&mut self, entry: &Entry, node: Node) {
        let (dir, name) = self.parent(&entry.path);
        self.dirs[dir].live.insert(name.clone(), node);
        self.change_dir(dir, entry, DirOp::Insert(name, node));
    }

    fn change_dir(&mut self, dir: usize, entry: &Entry, op: DirOp) {
        self.dirs[dir].pending.push(Pending { id: entry.id, op, ended: None });
    }

    fn end_change(&mut self, at: usize, id: u64) {
        let files = self.files.iter_mut().flat_map(|file| &mut file.pending);
        files.filter(|pending| pending.id == id).for_each(|pending| pending.ended = Some(at));
        let dirs = self.dirs.iter_mut().flat_map(|dir| &mut dir.pending);
        dirs.filter(|pending| pending.id == id).for_each(|pending| pending.ended = Some(at));
    }

    fn end_sync(&mut self, entry: &Entry) {
        let (started, node) = self.syncs.remove(&entry.id).expect("a sync that ends has started");
        assert_eq!(entry.number, 0, "a sync failed");
        let trace = self.trace;
        match node {
            Node::File(file) => {
                let File { durable, pending } = &mut self.files[file];
                for op in take_ended(pending, started) {
                    apply(durable, &op, trace);
                }
            }
            Node::Dir(dir) => {
                let Dir { durable, pending, .. } = &mut self.dirs[dir];
                for op in take_ended(pending, started) {
                    link(durable, &op);
                }
            }
        }
    }

    /// Writes one of the states that a power cut may leave right now to `out`.
    pub(crate) fn cut(&self, out: &Path, chance: &mut Chance) {
        self.cut_dir(ROOT, out, chance);
    }

    /// Writes the state that a disk without any power cut holds.
    pub(crate) fn write_all(&self, out: &Path) {
        self.write_dir(ROOT, out);
    }

    fn write_dir(&self, dir: usize, out: &Path) {
        fs::create_dir_all(out).unwrap();
        for (name, node) in &self.dirs[dir].live {
            match node {
                Node::Dir(dir) => self.write_dir(*dir, &out.join(name)),
                Node::File(file) => {
                    let File { durable, pending } = &self.files[*file];
                    let mut bytes = durable.clone();
                    pending.iter().for_each(|change| apply(&mut bytes, &change.op, self.trace));
                    fs::write(out.join(name), bytes).unwrap();
                }
            }
        }
    }

    fn cut_dir(&self, dir: usize, out: &Path, chance: &mut Chance) {
        fs::create_dir_all(out).unwrap();
        let Dir { durable, pending, .. } = &self.dirs[dir];
        let mut names = durable.clone();
        let policy = chance.below(4);
        let prefix = chance.below(pending.len() as u64 + 1) as usize;
        for (at, change) in pending.iter().enumerate() {
            let kept = match policy {
                0 => true,
                1 => false,
                2 => at < prefix,
                _ => chance.below(2) == 0,
            };
            if kept {
                link(&mut names, &change.op);
            }
        }
        for (name, node) in names {
            match node {
                Node::Dir(dir) => self.cut_dir(dir, &out.join(name), chance),
                Node::File(file) => fs::write(out.join(name), self.cut_file(file, chance)).unwrap(),
            }
        }
    }

    fn cut_file(&self, file: usize, chance: &mut Chance) -> Vec<u8> {
        let File { durable, pending } = &self.files[file];
        let mut left = durable.clone();
        if pending.is_empty() {
            return left;
        }
        // A sector reaches the disk as the page cache holds it: with every earlier write to it.
        let mut cache = durable.clone();
        let policy = chance.below(7);
        let chosen = chance.below(pending.len() as u64) as usize;
        for (at, change) in pending.iter().enumerate() {
            apply(&mut cache, &change.op, self.trace);
            let fate = match policy {
                0 => Fate::Kept,
                1 => Fate::Lost,
                2 => *chance.pick(&[Fate::Kept, Fate::Lost, Fate::TornSectors, Fate::TornPages, Fate::Prefix]),
                3 if at == chosen => Fate::Lost,
                3 => Fate::Kept,
                4 if at == chosen => *chance.pick(&[Fate::TornSectors, Fate::TornPages, Fate::Prefix]),
                4 if at < chosen => Fate::Kept,
                5 if at == chosen => Fate::Kept,
                4 | 5 => Fate::Lost,
                _ => *chance.pick(&[Fate::TornSectors, Fate::TornPages]),
            };
            match &change.op {
                FileOp::Resize(length) if fate == Fate::Kept => left.resize(*length, 0),
                FileOp::Resize(_) => (),
                FileOp::Write { data, .. } if data.is_empty() => (),
                FileOp::Write { at, data } => keep_sectors(&mut left, &cache, *at..at + data.len(), fate, chance),
            }
        }
        match chance.below(4) {
            // The length is lost with what lies behind it, or it is there and the data are not.
            0 if durable.len() < left.len() => left.truncate(durable.len()),
            1 if left.len() < cache.len() => left.resize(cache.len(), 0),
            _ => (),
        }
        left
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Kept,
    Lost,
    TornSectors,
    TornPages,
    Prefix,
}

fn keep_sectors(left: &mut Vec<u8>, cache: &[u8], written: Range<usize>, fate: Fate, chance: &mut Chance) {
    let (first, end) = (written.start / SECTOR, written.end.div_ceil(SECTOR));
    let prefix = first + chance.below((end - first) as u64 + 1) as usize;
    let mut page_kept = false;
    for sector in first..end {
        if sector == first || sector % PAGE_SECTORS == 0 {
            page_kept = chance.below(2) == 0;
        }
        let kept = match fate {
            Fate::Kept => true,
            Fate::Lost => false,
            Fate::TornSectors => chance.below(2) == 0,
            Fate::TornPages => page_kept,
            Fate::Prefix => sector < prefix,
        };
        if kept {
            let range = sector * SECTOR..((sector + 1) * SECTOR).min(cache.len());
            if left.len() < range.end {
                left.resize(range.end, 0);
            }
            left[range.clone()].copy_from_slice(&cache[range]);
        }
    }
}

fn take_ended<Op: Clone>(pending: &mut Vec<Pending<Op>>, started: usize) -> Vec<Op> {
    let covered = |change: &Pending<Op>| change.ended.is_some_and(|ended| ended < started);
    let ops = pending.iter().filter(|change| covered(change)).map(|change| change.op.clone()).collect();
    pending.retain(|change| !covered(change));
    ops
}

fn apply(bytes: &mut Vec<u8>, op: &FileOp, trace: &[u8]) {
    match op {
        FileOp::Resize(length) => bytes.resize(*length, 0),
        FileOp::Write { at, data } => {
            let end = at + data.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*at..end].copy_from_slice(&trace[data.clone()]);
        }
    }
}

fn link(names: &mut BTreeMap<String, Node>, op: &DirOp) {
    match op {
        DirOp::Insert(name, node) => {
            names.insert(name.clone(), *node);
        }
        DirOp::Remove(name) => {
            names.remove(name);
        }
        DirOp::Move(from, to) => {
            if let Some(node) = names.remove(from) {
                names.insert(to.clone(), node);
            }
        }
    }
}
