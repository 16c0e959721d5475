//! Searching a snapshot: which parts are walked in their graph, which are scanned, and both.
//!
//! A scan is bound by memory. Heads keep one byte a number beside their vectors: those codes give a
//! ceiling for each row's score, and only the rows whose ceiling reaches the k-th best score so far
//! are scored on their vectors. The ceilings are proven (see `kernels::QuantizedQuery`), so the
//! result is that of scoring every row.

use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use kernels::{ElementType, TopK};
use parking_lot::Mutex;
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::graph::{self, ChosenRows, Scratch};
use crate::head::HeadSnapshot;
use crate::index_options::IndexOptions;
use crate::schema::Schema;
use crate::score::{Query, inner};
use crate::segment::Accepted;
use crate::snapshot::Snapshot;
use crate::state::{Address, LiveSegment};

/// Rows scored at a time: their vectors stay in the cache while each query meets them.
pub(crate) const BLOCK_ROWS: usize = 256;

/// Queries that go over scanned rows together, at least: each block of them reads all rows once, so
/// that fewer would have threads wait for memory side by side.
const BLOCK_QUERIES: usize = 16;

/// Queries that go over scanned rows together, at most.
const MOST_BLOCK_QUERIES: usize = 64;

/// Blocks of queries a thread, so that none is left with the last one for long.
const BLOCKS_A_THREAD: usize = 4;

/// Rows of a segment that one thread scans at a time.
pub(crate) const TASK_ROWS: u32 = 4096;

/// Products of numbers below which other threads would cost more than they help, and where they
/// have other work much more: about 0.3 ms.
pub(crate) const QUICK_PRODUCTS: u64 = 1 << 23;

/// What a walk in a graph counts for, in scanned rows.
const WALK_ROWS: u64 = 1000;

/// Rows found by their codes for each scanned row that takes as long.
const CODED_ROWS: u64 = 16;

/// Where a filter lets so few rows through that comparing them takes fewer products than this, they
/// are: that is exact, and no slower than a walk that meets few rows which count.
pub(crate) const NARROW_PRODUCTS: u64 = 1 << 20;

/// Rows that a filter accepts are coded together for its next searches if they are at least so many:
/// fewer are compared as fast.
const LEAST_CODED: u64 = 1 << 8;

/// And if they are at most so many, which bounds the memory, and the time of the search that codes
/// them.
const MOST_CODED: u64 = 1 << 14;

/// Rows whose codes are scanned in the time of one visit of a walk.
const CODED_ROWS_A_VISIT: f64 = 320.0;

/// Rows that are coded in the time that their codes save one search. The search after as many as
/// make up for it codes them.
const CODED_ROWS_A_SEARCH: u64 = 64;

/// Rows that are requested from memory before they are compared.
const COMPARED_AHEAD: usize = 4;

/// A walk whose filter accepts less than this part of what it would accept of rows at random has a
/// query far from all that it may return, and stops among rows that are not the nearest of them.
pub(crate) const LEAST_LUCK: f64 = 0.5;

/// What to find.
#[derive(Clone, Copy, Debug)]
pub struct SearchOptions<'a> {
    /// How many records at most; at least 1.
    pub limit: usize,
    /// Only these records, or all.
    pub filter: Option<&'a Filter>,
    /// How many candidates a walk in a graph keeps: more finds more of the true neighbours, slower.
    /// The collection's own setting where it is `None`.
    pub effort: Option<usize>,
    /// Compare every record, whatever indexes there are.
    pub exact: bool,
    /// Only records that are at least this good, as the collection's metric counts.
    pub within: Option<f32>,
}

impl SearchOptions<'_> {
    /// The best `limit` of all records.
    pub fn new(limit: usize) -> Self {
        Self { limit, filter: None, effort: None, exact: false, within: None }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let wrong = match self {
            Self { limit: 0, .. } => "the limit must be at least 1",
            Self { effort: Some(0), .. } => "the effort must be at least 1",
            Self { within: Some(within), .. } if within.is_nan() => "within is not a number",
            _ => return Ok(()),
        };
        Err(Error::InvalidArgument(wrong.to_owned()))
    }
}

/// Memory that walks need, kept for the next ones.
#[derive(Default)]
pub(crate) struct Scratches(Mutex<Vec<Scratch>>);

impl Scratches {
    pub(crate) fn lend<T>(&self, work: impl FnOnce(&mut Scratch) -> T) -> T {
        let mut scratch = self.0.lock().pop().unwrap_or_default();
        let outcome = work(&mut scratch);
        self.0.lock().push(scratch);
        outcome
    }
}

/// Scores and where their records are, best first.
pub(crate) type Ranking = Vec<(f32, Address)>;

/// A search of one snapshot, made ready: filters evaluated, the way through each part chosen.
pub(crate) struct Plan {
    snapshot: Snapshot,
    scratches: Arc<Scratches>,
    /// Those in graphs first: from their results it is known what need not be looked at elsewhere.
    walks: Vec<Walk>,
    scans: Vec<Scan>,
    /// What walks and scans take, in scanned rows.
    cost: u64,
    limit: usize,
    effort: usize,
    /// Whether nobody said how much.
    is_default_effort: bool,
    /// The worst score that counts; larger is better.
    floor: f32,
}

/// A segment whose rows are found through an index: its graph, or where it has none yet, its codes.
struct Walk {
    segment: usize,
    chosen: Chosen,
    /// Codes of the chosen rows, which are scanned in place of a walk.
    codes: Option<Arc<ChosenRows>>,
    /// The part of all rows in graphs that is in this one, as far as its effort goes.
    share: f64,
}

/// The rows of a segment that may be found, of those that are live.
#[derive(Clone)]
enum Chosen {
    All,
    /// And how many of them are live.
    Accepted(Arc<Accepted>, u64),
}

impl Chosen {
    fn of(live: &LiveSegment, filter: Option<&Filter>) -> Result<Self> {
        let Some(filter) = filter else {
            return Ok(Self::All);
        };
        let accepted = live.segment.accepted(filter)?;
        let count = live.live_among(&accepted);
        Ok(Self::Accepted(accepted, count))
    }

    fn count(&self, live: &LiveSegment) -> u64 {
        match self {
            Self::All => live.live_rows(),
            Self::Accepted(_, count) => *count,
        }
    }

    /// Codes of these rows, if a scan of them is faster than a walk, and than comparing them. A search
    /// that many others came before makes them.
    fn codes(&self, live: &LiveSegment, effort: usize, limit: usize) -> Option<Arc<ChosenRows>> {
        let (Self::Accepted(accepted, count), Some(graph)) = (self, live.segment.graph()) else {
            return None;
        };
        let share = *count as f64 / f64::from(graph.count());
        let visits = graph::filtered_effort(effort, limit, share, false) as f64 / share;
        let rows = accepted.rows().len();
        if !(LEAST_CODED..=MOST_CODED).contains(&rows) || rows as f64 > visits * CODED_ROWS_A_VISIT
        {
            return None;
        }
        accepted.codes().or_else(|| {
            let is_due = accepted.note_search((rows / CODED_ROWS_A_SEARCH) as u32);
            is_due.then(|| {
                let rows: Vec<u32> = accepted.rows().iter().collect();
                accepted.set_codes(graph.choose(&rows))
            })
        })
    }
}

/// A run of rows that are compared one by one.
struct Scan {
    part: usize,
    rows: ScannedRows,
}

enum ScannedRows {
    Segment(Range<u32>),
    Chosen(Arc<Accepted>),
    /// A slab of a head's vectors.
    Slab(usize),
}

/// How many of so many queries are scanned together.
fn block_queries(queries: usize) -> usize {
    let blocks = BLOCKS_A_THREAD * rayon::current_num_threads();
    queries.div_ceil(blocks).clamp(BLOCK_QUERIES, MOST_BLOCK_QUERIES)
}

impl Plan {
    /// # Errors
    /// `InvalidArgument` for options that make no sense, `Corrupt` where a filter cannot be
    /// evaluated because a segment is damaged.
    pub(crate) fn new(
        snapshot: Snapshot,
        scratches: Arc<Scratches>,
        options: &SearchOptions<'_>,
        index: &IndexOptions,
        schema: &Schema,
    ) -> Result<Self> {
        options.validate()?;
        let (mut walks, mut coded, mut scans, mut cost) = (Vec::new(), Vec::new(), Vec::new(), 0);
        let effort = options.effort.unwrap_or(match index.search_effort {
            0 => {
                let coded = index.build_options(schema).code_bits.min(schema.dimension);
                graph::default_effort(options.limit, coded)
            }
            effort => effort as usize,
        });
        for (part, live) in snapshot.segments.iter().enumerate() {
            let chosen = Chosen::of(live, options.filter)?;
            let selected = chosen.count(live);
            if !options.exact
                && selected > options.limit as u64
                && let Some(codes) = chosen.codes(live, effort, options.limit)
            {
                cost += selected / CODED_ROWS;
                walks.push(Walk { segment: part, chosen, codes: Some(codes), share: 1.0 });
                continue;
            }
            let few = selected <= options.limit as u64;
            let products = selected.saturating_mul(schema.dimension as u64);
            // Codes of all rows are scanned in less time than a quarter of such rows.
            let scans_codes = options.filter.is_none() && !live.segment.is_indexed();
            let narrow = products <= NARROW_PRODUCTS / if scans_codes { 4 } else { 1 };
            if !options.exact && !few && !narrow {
                if live.segment.is_indexed() {
                    cost += WALK_ROWS;
                    walks.push(Walk { segment: part, chosen, codes: None, share: 1.0 });
                    continue;
                }
                if live.segment.codes().is_some() {
                    cost += u64::from(live.segment.rows()) / CODED_ROWS;
                    coded.push(Walk { segment: part, chosen, codes: None, share: 1.0 });
                    continue;
                }
            }
            cost += selected;
            scans.extend(scans_of(live, chosen).map(|rows| Scan { part, rows }));
        }
        for (head, snapshot_of_head) in snapshot.heads.iter().enumerate() {
            let part = snapshot.segments.len() + head;
            let slabs = 0..snapshot_of_head.vectors.slab_count();
            cost += snapshot_of_head.vectors.rows() as u64;
            scans.extend(slabs.map(|slab| Scan { part, rows: ScannedRows::Slab(slab) }));
        }
        share_out(&mut walks, &snapshot);
        walks.append(&mut coded);
        let floor = options.within.map_or(f32::NEG_INFINITY, |within| inner(within, schema.metric));
        let limit = options.limit;
        let is_default_effort = options.effort.is_none() && index.search_effort == 0;
        Ok(Self {
            snapshot,
            scratches,
            walks,
            scans,
            cost,
            limit,
            effort,
            is_default_effort,
            floor,
        })
    }

    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Whether so many queries are answered sooner by one thread than by several.
    pub(crate) fn is_quick(&self, queries: usize, dimension: usize) -> bool {
        self.cost.saturating_mul((queries * dimension) as u64) <= QUICK_PRODUCTS
    }

    /// The best records for each query, on the ambient thread pool unless the work
    /// [is quick](Plan::is_quick). Equal scores go to the record written first, so the answer does
    /// not depend on how the work was divided.
    ///
    /// # Errors
    /// `Corrupt` where a segment is damaged.
    pub(crate) fn run(
        &self,
        queries: &[Query<'_>],
        filter: Option<&Filter>,
        dimension: usize,
    ) -> Result<Vec<Ranking>> {
        let walk = |(query, best): (&Query<'_>, &mut Best)| {
            self.scratches.lend(|scratch| {
                self.walks.iter().try_for_each(|walk| self.walk(walk, query, scratch, best))
            })
        };
        let best = if self.is_quick(queries.len(), dimension) {
            let mut best: Vec<Best> = queries.iter().map(|_| Best::new(self.limit)).collect();
            queries.iter().zip(&mut best).try_for_each(walk)?;
            // Most rows need no look at their vectors, now that good ones are known.
            self.scans
                .iter()
                .try_for_each(|scan| self.scan_rows(scan, queries, filter, &mut best))?;
            best
        } else {
            let mut best = match queries.len() < BLOCK_QUERIES {
                true => self.scan(queries, filter)?,
                false => queries
                    .par_chunks(block_queries(queries.len()))
                    .map(|queries| self.scan(queries, filter))
                    .collect::<Result<Vec<_>>>()?
                    .into_iter()
                    .flatten()
                    .collect(),
            };
            if !self.walks.is_empty() {
                queries.par_iter().zip(&mut best).try_for_each(walk)?;
            }
            best
        };
        let sorted = |best: Best| {
            let mut best = best.into_sorted();
            best.truncate(best.partition_point(|(score, _)| *score >= self.floor));
            best
        };
        Ok(best.into_iter().map(sorted).collect())
    }

    fn walk(
        &self,
        walk: &Walk,
        query: &Query<'_>,
        scratch: &mut Scratch,
        best: &mut Best,
    ) -> Result<()> {
        let live = &self.snapshot.segments[walk.segment];
        // Found to be damaged since the plan was made, which is then made anew.
        let Some(graph) = live.segment.graph() else {
            return self.search_coded(walk, query, best);
        };
        let prepared = graph.prepare(query.vector());
        let mut options = graph::SearchOptions {
            effort: self.effort,
            ahead: live.segment.nodes_ahead(),
            ..graph::SearchOptions::new(self.limit, graph.coded())
        };
        if let Some(codes) = &walk.codes {
            let accept = |row| live.is_live(row);
            let found = graph.search_chosen(codes, &prepared, &options, accept);
            live.segment.check_walks()?;
            push_all(walk.segment, found, best);
            return Ok(());
        }
        let fine = live.segment.fine_rows();
        if fine.is_some() && self.is_default_effort {
            options.effort = graph::coded_effort(self.effort, self.limit);
        }
        let started = Instant::now();
        let found = match &walk.chosen {
            Chosen::All => {
                let mut search = |effort: usize| {
                    let options = graph::SearchOptions { effort, ..options };
                    match live.dead.is_empty() {
                        true => graph.search_with(fine, &prepared, &options, |_| true, scratch),
                        false => {
                            let accept = |row| live.is_live(row);
                            graph.search_with(fine, &prepared, &options, accept, scratch)
                        }
                    }
                };
                let whole = options.effort;
                if self.is_default_effort {
                    options.effort = graph::shared_effort(whole, self.limit, walk.share);
                }
                let mut found = search(options.effort);
                let entering = found.iter().filter(|(score, _)| *score >= best.threshold()).count();
                if graph::is_short(options.effort, whole, entering, self.limit) {
                    options.effort = whole;
                    found = search(whole);
                }
                found
            }
            Chosen::Accepted(rows, count) => {
                let share = *count as f64 / f64::from(graph.count());
                options.effort =
                    graph::filtered_effort(self.effort, self.limit, share, fine.is_some());
                let (met, accepted) = (Cell::new(0u32), Cell::new(0u32));
                let accept = |row| {
                    let accepts = rows.contains(row) && live.is_live(row);
                    met.set(met.get() + 1);
                    accepted.set(accepted.get() + u32::from(accepts));
                    accepts
                };
                let found = graph.search_with(fine, &prepared, &options, accept, scratch);
                let luck = f64::from(accepted.get()) / f64::from(met.get().max(1)) / share;
                if luck < LEAST_LUCK {
                    live.segment.check_walks()?;
                    return self.scan_chosen(walk.segment, rows, query, best);
                }
                found
            }
        };
        live.segment.check_walks()?;
        live.segment.learn_from_walk(started.elapsed(), options.effort);
        push_all(walk.segment, found, best);
        Ok(())
    }

    /// Finds rows of a segment without a graph by their codes.
    fn search_coded(&self, walk: &Walk, query: &Query<'_>, best: &mut Best) -> Result<()> {
        let live = &self.snapshot.segments[walk.segment];
        let Some(codes) = live.segment.codes() else {
            return Ok(());
        };
        let prepared = codes.prepare(query.vector());
        let options = graph::SearchOptions {
            effort: self.effort,
            ..graph::SearchOptions::new(self.limit, live.segment.dimension())
        };
        let accept = |row| match &walk.chosen {
            Chosen::All => live.is_live(row),
            Chosen::Accepted(rows, _) => rows.contains(row) && live.is_live(row),
        };
        let request = |row| live.segment.expect_vector(row);
        let score = |row| {
            let mut score = [0.0];
            live.segment.score_rows(query, row..row + 1, &mut score).map(|()| score[0])
        };
        let floor = best.threshold().max(self.floor);
        let found = codes.search(&prepared, &options, floor, accept, request, score)?;
        push_all(walk.segment, found, best);
        Ok(())
    }

    /// Compares these rows of a segment, as far as they are live, one by one.
    fn scan_chosen(
        &self,
        segment: usize,
        accepted: &Accepted,
        query: &Query<'_>,
        best: &mut Best,
    ) -> Result<()> {
        let live = &self.snapshot.segments[segment];
        let rows = || accepted.rows().iter().filter(|&row| live.is_live(row));
        let mut ahead = rows();
        ahead.by_ref().take(COMPARED_AHEAD).for_each(|row| live.segment.expect_vector(row));
        let mut score = [0.0];
        for row in rows() {
            if let Some(row) = ahead.next() {
                live.segment.expect_vector(row);
            }
            live.segment.score_rows(query, row..row + 1, &mut score)?;
            best.push(score[0], Address::new(segment, row));
        }
        Ok(())
    }

    /// On the ambient thread pool.
    fn scan(&self, queries: &[Query<'_>], filter: Option<&Filter>) -> Result<Vec<Best>> {
        let empty = || queries.iter().map(|_| Best::new(self.limit)).collect::<Vec<_>>();
        let scan = |mut best: Vec<Best>, scan: &Scan| {
            self.scan_rows(scan, queries, filter, &mut best)?;
            Ok(best)
        };
        self.scans.par_iter().try_fold(empty, scan).try_reduce(empty, |mut best, other| {
            for (best, other) in best.iter_mut().zip(other) {
                best.merge(other);
            }
            Ok(best)
        })
    }

    fn scan_rows(
        &self,
        scan: &Scan,
        queries: &[Query<'_>],
        filter: Option<&Filter>,
        best: &mut [Best],
    ) -> Result<()> {
        let live = self.snapshot.segments.get(scan.part);
        match (&scan.rows, live) {
            (ScannedRows::Segment(rows), Some(live)) => {
                let starts = rows.clone().step_by(BLOCK_ROWS);
                starts
                    .map(|start| start..rows.end.min(start + BLOCK_ROWS as u32))
                    .try_for_each(|block| score_block(scan.part, live, block, queries, best))
            }
            (ScannedRows::Chosen(rows), Some(_)) => queries
                .iter()
                .zip(best)
                .try_for_each(|(query, best)| self.scan_chosen(scan.part, rows, query, best)),
            (ScannedRows::Slab(slab), _) => {
                let head = &self.snapshot.heads[scan.part - self.snapshot.segments.len()];
                scan_slab(scan.part, head, *slab, queries, filter, best);
                Ok(())
            }
            (_, None) => Ok(()),
        }
    }
}

/// Says of each walk in a graph which part of the rows it is about, and puts the largest first: what it
/// finds tells what others need not find.
fn share_out(walks: &mut [Walk], snapshot: &Snapshot) {
    let rows = |walk: &Walk| f64::from(snapshot.segments[walk.segment].segment.rows());
    let all: f64 = walks.iter().map(rows).sum();
    for walk in walks.iter_mut() {
        walk.share = rows(walk) / all;
    }
    walks.sort_by(|a, b| b.share.total_cmp(&a.share));
    // Nothing is known yet where it begins.
    if let Some(first) = walks.first_mut() {
        first.share = 1.0;
    }
}

type Best = TopK<Address>;

fn push_all(segment: usize, found: Vec<(f32, u32)>, best: &mut Best) {
    for (score, row) in found {
        best.push(score, Address::new(segment, row));
    }
}

/// Cuts what is scanned of a segment into runs for one thread each.
fn scans_of(live: &LiveSegment, chosen: Chosen) -> impl Iterator<Item = ScannedRows> + use<> {
    let rows = live.segment.rows();
    let (ranges, accepted) = match chosen {
        Chosen::All => {
            let starts = (0..rows).step_by(TASK_ROWS as usize);
            (Some(starts.map(move |start| start..rows.min(start.saturating_add(TASK_ROWS)))), None)
        }
        Chosen::Accepted(accepted, _) => (None, Some(accepted)),
    };
    ranges.into_iter().flatten().map(ScannedRows::Segment).chain(accepted.map(ScannedRows::Chosen))
}

fn score_block(
    part: usize,
    live: &LiveSegment,
    rows: Range<u32>,
    queries: &[Query<'_>],
    best: &mut [Best],
) -> Result<()> {
    let mut scores = [0.0; BLOCK_ROWS];
    let scores = &mut scores[..rows.len()];
    for (query, best) in queries.iter().zip(best.iter_mut()) {
        live.segment.score_rows(query, rows.clone(), scores)?;
        for (&score, row) in scores.iter().zip(rows.clone()) {
            if score >= best.threshold() && live.is_live(row) {
                best.push(score, Address::new(part, row));
            }
        }
    }
    Ok(())
}

fn scan_slab(
    part: usize,
    head: &HeadSnapshot,
    slab: usize,
    queries: &[Query<'_>],
    filter: Option<&Filter>,
    best: &mut [Best],
) {
    let Some((first_slot, slab)) = head.vectors.slab(slab) else {
        return;
    };
    let mut ceilings = [0.0; BLOCK_ROWS];
    let mut scores = [0.0; BLOCK_ROWS];
    for first_row in (0..slab.rows()).step_by(BLOCK_ROWS) {
        let rows = first_row..slab.rows().min(first_row + BLOCK_ROWS);
        let codes = slab.codes(rows.clone());
        for (query, best) in queries.iter().zip(best.iter_mut()) {
            let slot = |row: usize| first_slot + row as u32;
            // A filter costs more than a score, so only what would enter is put to it.
            let enters = |row: usize| {
                slab.is_live(row) && filter.is_none_or(|filter| head.matches(slot(row), filter))
            };
            let inverse_norms = slab.inverse_norms(rows.clone());
            let Some((codes, factors)) = codes else {
                let scores = &mut scores[..rows.len()];
                match slab.bits(rows.clone()) {
                    Some(bits) => query.score_stored(ElementType::Bits, bits, &[], scores),
                    None => query.score_rows(slab.values(rows.clone()), inverse_norms, scores),
                }
                for (&score, row) in scores.iter().zip(rows.clone()) {
                    if score >= best.threshold() && enters(row) {
                        best.push(score, Address::new(part, slot(row)));
                    }
                }
                continue;
            };
            let ceilings = &mut ceilings[..rows.len()];
            query.ceilings(codes, factors, inverse_norms, ceilings);
            for (&ceiling, row) in ceilings.iter().zip(rows.clone()) {
                // NaN is not less than anything: such a row is scored.
                if ceiling < best.threshold() || !enters(row) {
                    continue;
                }
                let mut score = [0.0];
                let inverse_norm = slab.inverse_norms(row..row + 1);
                query.score_rows(slab.values(row..row + 1), inverse_norm, &mut score);
                best.push(score[0], Address::new(part, slot(row)));
            }
        }
    }
}
