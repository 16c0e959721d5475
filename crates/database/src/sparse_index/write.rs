//! Writing an index from the vectors of a segment's rows.
//!
//! The vectors are read several times instead of being kept: once to count how many rows have each
//! index, then once for each [`PASS_POSTINGS`] postings, of which a pass takes those of consecutive
//! indices. A list that is longer is written as its rows come. Beside the postings of a pass, what
//! is in memory is some 50 bytes for each different index.

use std::collections::HashMap;

use super::directory::List;
use super::header::{Contents, Header};
use super::postings::ListEncoder;
use crate::error::{Error, Result};
use crate::format::{MAX_SEGMENT_ROWS, MAX_SPARSE_INDEX_NAME_BYTES};
use crate::index_file::write::{BUFFER_BYTES, BodyWriter, Target};
use crate::sparse_vector::SparseVector;
use crate::text_search::Identity;

/// Gives the vector of a row, or `None` where it has none; the same one whenever it is asked.
pub type VectorSource<'a> = dyn Fn(u32) -> Result<Option<SparseVector>> + 'a;

/// Most postings that a pass keeps in memory, 8 bytes each.
const PASS_POSTINGS: usize = 16 << 20;

/// Writes the index of a segment's rows; returns the bytes, where they are in memory. `name` says
/// what has the vectors.
///
/// # Errors
/// `InvalidArgument` for more than 2^30 rows, a name of more than 256 bytes, and a source that does
/// not say the same twice; what the source and the target say.
pub(crate) fn write_index<T: Target>(
    target: T,
    identity: Identity,
    name: &str,
    source: &VectorSource<'_>,
) -> Result<Vec<u8>> {
    write_in_passes(target, identity, name, source, PASS_POSTINGS)
}

pub(super) fn write_in_passes<T: Target>(
    target: T,
    identity: Identity,
    name: &str,
    source: &VectorSource<'_>,
    pass_postings: usize,
) -> Result<Vec<u8>> {
    let rows = identity.rows;
    if rows > MAX_SEGMENT_ROWS {
        let reason = format!("an index has at most {MAX_SEGMENT_ROWS} rows, not {rows}");
        return Err(Error::InvalidArgument(reason));
    }
    if name.len() > MAX_SPARSE_INDEX_NAME_BYTES {
        return Err(Error::InvalidArgument(format!(
            "what is indexed has a name of at most {MAX_SPARSE_INDEX_NAME_BYTES} bytes"
        )));
    }
    let mut counts = Counts::default();
    for row in 0..rows {
        if let Some(vector) = source(row)? {
            counts.add(&vector);
        }
    }
    let (vectors, numbers) = (counts.vectors, counts.numbers);
    let mut writer = Writer::new(target);
    let lists = counts.into_lists();
    let mut rest = &lists.sorted[..];
    while !rest.is_empty() {
        let mut postings = 0;
        let fits = |list: &&(u32, u32, u32)| {
            postings += list.2 as usize;
            postings <= pass_postings
        };
        let (pass, behind) = rest.split_at(rest.iter().take_while(fits).count().max(1));
        match pass {
            [(index, ..)] => writer.put_list(*index, rows, source)?,
            _ => writer.put_lists(pass, &lists.numbers, rows, source)?,
        }
        rest = behind;
    }
    if writer.numbers != numbers {
        return Err(changed());
    }
    writer.finish(identity, name, vectors)
}

fn changed() -> Error {
    Error::InvalidArgument("the sparse vectors changed while they were indexed".to_owned())
}

/// Numbers the indices in the order in which they are met. Small ones, which are those of models
/// with a vocabulary, are looked up in a table.
#[derive(Default)]
struct Numbers {
    /// One more than the number of each small index, or 0.
    small: Vec<u32>,
    others: HashMap<u32, u32>,
}

impl Numbers {
    const SMALL: u32 = 1 << 20;

    fn get(&self, index: u32) -> Option<u32> {
        match index < Self::SMALL {
            true => self.small.get(index as usize)?.checked_sub(1),
            false => self.others.get(&index).copied(),
        }
    }

    fn get_or_insert(&mut self, index: u32, next: u32) -> u32 {
        if index >= Self::SMALL {
            return *self.others.entry(index).or_insert(next);
        }
        if self.small.len() <= index as usize {
            self.small.resize(index as usize + 1, 0);
        }
        let known = &mut self.small[index as usize];
        if *known == 0 {
            *known = next + 1;
        }
        *known - 1
    }
}

/// How many rows have each index.
#[derive(Default)]
struct Counts {
    numbers_of: Numbers,
    /// Each index and its rows, by number.
    counts: Vec<(u32, u32)>,
    vectors: u64,
    numbers: u64,
}

/// The indices with their numbers and how many rows have them, in ascending order.
struct Lists {
    sorted: Vec<(u32, u32, u32)>,
    numbers: Numbers,
}

impl Counts {
    fn add(&mut self, vector: &SparseVector) {
        self.vectors += 1;
        self.numbers += vector.indices().len() as u64;
        for index in vector.indices() {
            let next = self.counts.len() as u32;
            let number = self.numbers_of.get_or_insert(*index, next);
            if number == next {
                self.counts.push((*index, 0));
            }
            self.counts[number as usize].1 += 1;
        }
    }

    fn into_lists(self) -> Lists {
        let numbered = (0..).zip(self.counts);
        let mut sorted: Vec<_> =
            numbered.map(|(number, (index, rows))| (index, number, rows)).collect();
        sorted.sort_unstable();
        Lists { sorted, numbers: self.numbers_of }
    }
}

struct Writer<T> {
    body: BodyWriter<T>,
    encoder: ListEncoder,
    /// Blocks that are not written yet.
    blocks: Vec<u8>,
    directory: Vec<u8>,
    lists: u64,
    numbers: u64,
}

impl<T: Target> Writer<T> {
    fn new(target: T) -> Self {
        Self {
            body: BodyWriter::new(target),
            encoder: ListEncoder::new(),
            blocks: Vec::new(),
            directory: Vec::new(),
            lists: 0,
            numbers: 0,
        }
    }

    /// Writes a list as its rows come.
    fn put_list(&mut self, index: u32, rows: u32, source: &VectorSource<'_>) -> Result<()> {
        let start = self.body.position();
        for row in 0..rows {
            if let Some(vector) = source(row)?
                && let Ok(place) = vector.indices().binary_search(&index)
            {
                self.put_posting(row, vector.values()[place])?;
            }
        }
        self.end_list(index, start)
    }

    /// Writes several lists, whose postings are brought into their order in memory.
    fn put_lists(
        &mut self,
        lists: &[(u32, u32, u32)],
        numbers: &Numbers,
        rows: u32,
        source: &VectorSource<'_>,
    ) -> Result<()> {
        // Where the next posting of each number goes, and where its last one ends.
        let most = lists.iter().map(|(_, number, _)| *number).max().unwrap_or_default();
        let mut places = vec![(0, 0); most as usize + 1];
        let mut end = 0;
        for (_, number, count) in lists {
            places[*number as usize] = (end, end + *count as usize);
            end += *count as usize;
        }
        let (first, last) = (lists[0].0, lists[lists.len() - 1].0);
        let mut postings = vec![(0u32, 0f32); end];
        for row in 0..rows {
            let Some(vector) = source(row)? else { continue };
            let start = vector.indices().partition_point(|index| *index < first);
            for (index, value) in vector.iter().skip(start) {
                if index > last {
                    break;
                }
                let number = numbers.get(index).ok_or_else(changed)?;
                let (next, end) = places.get_mut(number as usize).ok_or_else(changed)?;
                if next == end {
                    return Err(changed());
                }
                postings[*next] = (row, value);
                *next += 1;
            }
        }
        if places.iter().any(|(next, end)| next != end) {
            return Err(changed());
        }
        let mut rest = &postings[..];
        for (index, _, count) in lists {
            let (list, behind) = rest.split_at(*count as usize);
            let start = self.body.position();
            list.iter().try_for_each(|(row, value)| self.put_posting(*row, *value))?;
            self.end_list(*index, start)?;
            rest = behind;
        }
        Ok(())
    }

    fn put_posting(&mut self, row: u32, value: f32) -> Result<()> {
        self.encoder.push(row, value, &mut self.blocks);
        match self.blocks.len() >= BUFFER_BYTES {
            true => self.put_blocks(),
            false => Ok(()),
        }
    }

    fn put_blocks(&mut self) -> Result<()> {
        let outcome = self.body.put(&self.blocks);
        self.blocks.clear();
        outcome
    }

    /// Writes what is left of a list that started here, and the entries of its blocks.
    fn end_list(&mut self, index: u32, blocks: u64) -> Result<()> {
        let (postings, bounds, entries) = self.encoder.finish(&mut self.blocks);
        self.put_blocks()?;
        let list = List { index, postings, blocks, entries: self.body.position(), bounds };
        list.put(&mut self.directory);
        self.lists += 1;
        self.numbers += u64::from(postings);
        self.body.put(&entries)
    }

    fn finish(mut self, identity: Identity, name: &str, vectors: u64) -> Result<Vec<u8>> {
        let directory = self.body.position();
        self.body.put(&self.directory)?;
        let Self { body, lists, numbers, .. } = self;
        body.finish(|body| {
            let contents = Contents { body, lists, vectors, numbers, directory };
            Header { identity, name: name.to_owned(), contents }.encode()
        })
    }
}
