//! Turning heads into segments, and segments into fewer and better ones.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::{io, panic, thread};

use rayon::{ThreadPool, ThreadPoolBuilder};
use roaring::RoaringBitmap;

use crate::background::Background;
use crate::containment::{damage_version, learn};
use crate::error::{Error, Result};
use crate::index_options::IndexOptions;
use crate::merge_policy::{MergeRules, SegmentSize, choose, complete_merge, next_merge};
use crate::segment::{self, Segment, SegmentSource, segment_path};
use crate::sources::{HeadSource, MergeSource};
use crate::state::{LiveSegment, State};
use crate::store::Store;
use crate::vector_fields::BehindProgress;

/// How far long work is: rows done and rows in all. It stops when told to.
pub type Progress<'a> = &'a (dyn Fn(u64, u64) -> ControlFlow<()> + Sync);

/// The background work of a database.
pub(crate) struct Upkeep {
    flushing: Background,
    merging: Background,
    indexing_texts: Background,
    /// Where graphs are built.
    threads: ThreadPool,
    /// Where the codes of a new segment are made: a merge may take the others for seconds. It gives way
    /// to nobody, for until it is done searches compare all rows of a head.
    coding: ThreadPool,
}

/// Background work leaves the processors to whoever waits for an answer. A thread of a little more
/// priority takes them ten times a second for some milliseconds each, which one search in a hundred
/// meets. Where searches leave nothing at all, writers are slowed down to what is done nevertheless.
#[cfg(target_os = "linux")]
pub(crate) fn give_way() {
    // Of this thread alone. Where it is refused, all goes on as it did.
    let _ = rustix::process::nice(19);
}

/// Other systems lower the priority of whole processes only.
#[cfg(not(target_os = "linux"))]
pub(crate) fn give_way() {}

/// `threads` of 0 stands for every core that the process may use.
fn pool(name: &'static str, threads: usize) -> ThreadPoolBuilder {
    ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(move |index| format!("{name}-{index}"))
}

impl Upkeep {
    /// With so many threads for graphs, as [`pool`] takes them.
    pub(crate) fn start(threads: usize) -> io::Result<Self> {
        Ok(Self {
            flushing: Background::start(
                "rac-heads",
                || (),
                |store| {
                    // The error reaches the writers who wait, and the next write tries again.
                    let _ = store.flush_heads(Extent::OverLimits);
                    store.make_missing_codes();
                },
            )?,
            merging: Background::start(
                "rac-segments",
                || (),
                |store| {
                    // Space may be short for now; the segments as they are serve as well.
                    let _ = store.merge_in_background();
                },
            )?,
            indexing_texts: Background::start("rac-words", give_way, |store| store.index_texts())?,
            threads: pool("rac-merge", threads)
                .start_handler(|_| give_way())
                .build()
                .map_err(io::Error::other)?,
            coding: pool("rac-code", 1).build().map_err(io::Error::other)?,
        })
    }

    pub(crate) fn flush_soon(&self, store: &Arc<Store>) {
        self.flushing.look_after(store, Duration::ZERO);
    }

    pub(crate) fn merge_soon(&self, store: &Arc<Store>, delay: Duration) {
        self.merging.look_after(store, delay);
    }

    pub(crate) fn index_soon(&self, store: &Arc<Store>) {
        self.indexing_texts.look_after(store, Duration::ZERO);
    }

    /// Returns once no background work is going on any more.
    pub(crate) fn stop(&self) {
        self.flushing.stop();
        self.merging.stop();
        self.indexing_texts.stop();
    }
}

/// Which heads to turn into segments.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Frozen ones, and the active one where it has grown over its limits.
    OverLimits,
    /// All.
    Everything,
}

impl Store {
    /// Turns heads into segments, oldest first.
    ///
    /// # Errors
    /// `Io` where a segment cannot be written: then its head stays as it is. `Interrupted` where
    /// the collection is closing.
    pub(crate) fn flush_heads(self: &Arc<Self>, extent: Extent) -> Result<()> {
        let _flushing = self.flushing.lock();
        let outcome = self.flush_heads_locked(extent);
        self.flush_ended(outcome.is_ok());
        outcome
    }

    fn flush_heads_locked(self: &Arc<Self>, extent: Extent) -> Result<()> {
        let freeze = match extent {
            Extent::OverLimits => self.is_over_limits(&*self.state()?, 1),
            Extent::Everything => self.with_writer(|writer| Ok(!writer.is_empty()))?,
        };
        if freeze {
            self.rotate()?;
        }
        loop {
            let snapshot = {
                let state = self.state()?;
                match state.heads() {
                    [frozen, _, ..] => frozen.snapshot(),
                    _ => break,
                }
            };
            self.flush_head(HeadSource::new(snapshot), extent)?;
        }
        if extent == Extent::OverLimits {
            self.index_texts_soon();
        }
        self.look_after()
    }

    fn flush_head(&self, source: HeadSource, extent: Extent) -> Result<()> {
        let segment = self.write_segment(&source, None, &|_, _| match self.is_stopping() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })?;
        let searchable = extent == Extent::Everything;
        self.prepare_flushed_texts(segment.as_deref(), source.text_keys(), searchable);
        self.prepare_fields(segment.as_deref());
        // A thread of a pool would take other work while it waits for another pool, and that may want
        // the lock which is held here. Then a search has the codes made.
        if self.view().is_searched() && rayon::current_thread_index().is_none() {
            self.upkeep().coding.install(|| self.make_codes(segment.as_deref()));
        }
        let (generation, empty) = self.with_writer(|_| {
            self.change_state(|state| {
                let head = &state.heads()[0];
                let generation = head.log().generation;
                // Records only leave a frozen head.
                let left = |(_, slot): &(u32, &u32)| head.record(**slot).is_none();
                let dead = (0..).zip(source.slots()).filter(left).map(|(row, _)| row).collect();
                state.replace_oldest_head(
                    segment.map(|segment| LiveSegment { segment, dead: Arc::new(dead) }),
                );
                (generation, state.remove_empty_segments())
            })
        })?;
        self.outdate_log(generation);
        empty.into_iter().for_each(|number| self.outdate_segment(number));
        self.publish()
    }

    /// Writes a segment of these records; `None` where there are none.
    fn write_segment(
        &self,
        source: &dyn SegmentSource,
        index: Option<&IndexOptions>,
        progress: Progress<'_>,
    ) -> Result<Option<Arc<Segment>>> {
        if source.rows() == 0 {
            return Ok(None);
        }
        let number = self.next_segment.fetch_add(1, Ordering::Relaxed);
        let path = segment_path(self.folder(), number);
        let build = index.map(|index| index.build_options(self.schema()));
        let (disk, schema) = (self.disk(), self.schema());
        segment::write(disk, &path, number, schema, source, build.as_ref(), progress)?;
        let segment = Segment::open(&path, number, self.schema())?;
        Ok(Some(Arc::new(segment.writing_to(self.disk()))))
    }

    /// Codes the vectors of a segment without a graph, if it is one of those that get one.
    fn make_codes(&self, segment: Option<&Segment>) {
        let index = self.index();
        if let Some(segment) = segment.filter(|segment| segment.wants_codes(&index)) {
            segment.make_codes(&index.build_options(self.schema()));
        }
    }

    /// Codes what was written while nobody searched, if somebody does now.
    fn make_missing_codes(&self) {
        if self.view().is_searched()
            && let Ok(segments) = self.state().map(|state| state.segments().clone())
        {
            let segments = segments.iter().map(|live| &*live.segment);
            self.upkeep().coding.install(|| segments.for_each(|one| self.make_codes(Some(one))));
        }
    }

    pub(crate) fn merge_rules(&self) -> MergeRules {
        MergeRules {
            index: self.index(),
            most_rows: self.limits().merged_rows,
            is_searched: self.view().is_searched(),
        }
    }

    /// The merge that the background would do next.
    pub(crate) fn next_merge(&self, state: &State) -> Option<Range<usize>> {
        choose(next_merge, &sizes(state), &self.merge_rules())
    }

    fn merge_in_background(self: &Arc<Self>) -> Result<()> {
        let _merging = self.merging.lock();
        let stop = || self.is_stopping() || self.giving_way.load(Ordering::Relaxed);
        let progress = |_, _| match stop() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let outcome = self.upkeep().threads.install(|| {
            while !stop() && self.merge(next_merge, &progress)? {
                self.merge_ended(true);
            }
            if stop() { Ok(()) } else { self.build_missing_field_graphs(&progress) }
        });
        self.merge_ended(outcome.is_ok());
        outcome
    }

    /// Turns everything into one segment, with a graph where it is worth one.
    ///
    /// # Errors
    /// `Io`, `Corrupt`; `Interrupted` where `progress` said so: then all is as before.
    pub(crate) fn optimize(self: &Arc<Self>, progress: Progress<'_>) -> Result<()> {
        {
            let state = self.state()?;
            // A head is faster than a small segment, and smaller on disk.
            if state.segments().is_empty() && state.len() < self.index().minimum_rows as usize {
                return Ok(());
            }
        }
        self.flush_heads(Extent::Everything)?;
        self.index_texts();
        self.merge_now(complete_merge, progress)
    }

    /// Rewrites what holds dead records.
    ///
    /// # Errors
    /// As [`Store::optimize`].
    pub(crate) fn compact(self: &Arc<Self>, progress: Progress<'_>) -> Result<()> {
        self.flush_heads(Extent::Everything)?;
        self.index_texts();
        self.merge_now(
            |segments, _| {
                let is_due = |segment: &SegmentSize| segment.dead > 0 || segment.is_damaged;
                let worn = segments.iter().position(is_due)?;
                Some(worn..worn + 1)
            },
            progress,
        )
    }

    pub(crate) fn merge_now(
        self: &Arc<Self>,
        choose: Choice,
        progress: Progress<'_>,
    ) -> Result<()> {
        self.giving_way.store(true, Ordering::Relaxed);
        let merging = self.merging.lock();
        self.giving_way.store(false, Ordering::Relaxed);
        self.outside_of_pools(|| {
            let watched = |done, total| match self.is_stopping() {
                true => ControlFlow::Break(()),
                false => progress(done, total),
            };
            let behind = BehindProgress::new(&watched);
            while self.merge(choose, &|done, total| behind.tell(done, total))? {}
            self.build_missing_field_graphs(&|_, _| behind.tell_behind())
        })?;
        drop(merging);
        self.look_after()
    }

    /// Does work that waits for other threads while the caller holds a lock.
    ///
    /// A thread of a pool takes other work of it while it waits, and that may want the same lock: it
    /// would wait for itself. Such a thread sleeps, while as many threads as its pool has do the work.
    ///
    /// # Errors
    /// Those of the work; `Io` where threads cannot be started.
    pub(crate) fn outside_of_pools(&self, work: impl FnOnce() -> Result<()> + Send) -> Result<()> {
        if rayon::current_thread_index().is_none() {
            return work();
        }
        let failed = |error| Error::io(self.folder(), "start threads for")(error);
        let own = pool("rac-own", rayon::current_num_threads()).build();
        let own = own.map_err(|error| failed(io::Error::other(error)))?;
        thread::scope(|scope| {
            let outside = thread::Builder::new().spawn_scoped(scope, || own.install(work));
            let outcome = outside.map_err(failed)?.join();
            outcome.unwrap_or_else(|panic| panic::resume_unwind(panic))
        })
    }

    /// Does the merge that is chosen; returns whether there was one.
    fn merge(&self, choice: Choice, progress: Progress<'_>) -> Result<bool> {
        let rules = self.merge_rules();
        let (source, damage) = {
            let state = self.state()?;
            let Some(range) = choose(choice, &sizes(&state), &rules) else {
                return Ok(false);
            };
            let segments = state.segments()[range].to_vec();
            let damage = damage_version(&segments);
            (MergeSource::new(segments), damage)
        };
        match self.merge_segments(&source, &rules, progress) {
            // With what is known of it now, another merge may be the right one.
            Err(error) if learn(source.segments(), damage, &error) => {}
            merged => merged?,
        }
        Ok(true)
    }

    /// Puts one segment in the place of those of a source.
    pub(crate) fn merge_segments(
        &self,
        source: &MergeSource,
        rules: &MergeRules,
        progress: Progress<'_>,
    ) -> Result<()> {
        let index = &rules.index;
        let wants_graph =
            source.rows() >= index.minimum_rows && u64::from(source.rows()) <= rules.most_rows;
        let behind = BehindProgress::new(progress);
        let index = wants_graph.then_some(index);
        let segment = self.write_segment(source, index, &|done, all| behind.tell(done, all))?;
        self.prepare_merged_texts(segment.as_deref(), &source.text_origins());
        self.prepare_fields(segment.as_deref());
        let graphs = self.build_field_graphs(segment.as_deref(), &|_, _| behind.tell_behind());
        if let (Err(error), Some(segment)) = (graphs, &segment) {
            // Nobody knows it: it goes with what the next manifest does not need.
            self.outdate_segment(segment.number());
            return Err(error);
        }
        if self.view().is_searched() {
            self.make_codes(segment.as_deref());
        }
        let numbers: Vec<u64> =
            source.segments().iter().map(|live| live.segment.number()).collect();
        self.with_writer(|_| {
            self.change_state(|state| {
                let dead = Arc::new(died_meanwhile(source, state.segments()));
                let merged = segment.map(|segment| LiveSegment { segment, dead });
                state.replace_segments(&numbers, merged);
            })
        })?;
        numbers.into_iter().for_each(|number| self.outdate_segment(number));
        self.publish()
    }
}

/// Which segments to merge next, if any.
type Choice = fn(&[SegmentSize], &MergeRules) -> Option<Range<usize>>;

fn sizes(state: &State) -> Vec<SegmentSize> {
    let size = |live: &LiveSegment| SegmentSize {
        rows: u64::from(live.segment.rows()),
        dead: live.dead.len(),
        is_indexed: live.segment.is_indexed(),
        // Rows that could not be read may have died since.
        is_damaged: live.segment.is_to_be_rebuilt() || !live.segment.lost_rows().is_empty(),
        has_lost: !live.lost().is_empty(),
    };
    state.segments().iter().map(size).collect()
}

/// The rows of a merged segment whose records were deleted or replaced since it was begun.
fn died_meanwhile(source: &MergeSource, segments: &[LiveSegment]) -> RoaringBitmap {
    let mut dead = RoaringBitmap::new();
    for (origin, before) in source.segments().iter().enumerate() {
        let number = before.segment.number();
        let died = match segments.iter().find(|live| live.segment.number() == number) {
            Some(now) => &*now.dead - &*before.dead,
            // It was removed because nothing in it was live any more.
            None => (0..before.segment.rows()).filter(|row| before.is_live(*row)).collect(),
        };
        for row in died {
            if let Ok(merged) = source.origins().binary_search(&(origin as u32, row)) {
                dead.insert(merged as u32);
            }
        }
    }
    dead
}
