//! The waiting calls, and whose items come next.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Workload;
use super::call::Shared;

/// One item of a call, tokenized or not yet.
pub(super) struct Work<W: Workload> {
    pub(super) call: Arc<Shared<W::Item>>,
    pub(super) index: usize,
    pub(super) sequence: Option<W::Sequence>,
    /// The tokens that it was claimed for.
    pub(super) claimed: usize,
}

struct Entry<W: Workload> {
    call: Arc<Shared<W::Item>>,
    /// The first item that nobody claimed yet.
    next: usize,
    /// Claimed, tokenized, and found too long for their pack: the last one is the next to go.
    returned: Vec<(usize, W::Sequence)>,
    /// About so many tokens are in the items from `next` on.
    tokens: usize,
    /// Tokens that the call got so far, counted from what the least served one had when it came.
    served: usize,
}

impl<W: Workload> Entry<W> {
    /// About how many tokens the next item has; `None` where all are claimed.
    fn peek(&self, workload: &W) -> Option<usize> {
        match self.returned.last() {
            Some((_, sequence)) => Some(workload.tokens(sequence)),
            None => self.call.items.get(self.next).map(|item| workload.estimate(item)),
        }
    }

    /// Takes the item that `peek` spoke of.
    fn take(&mut self, claimed: usize) -> Work<W> {
        self.served += claimed;
        let call = self.call.clone();
        if let Some((index, sequence)) = self.returned.pop() {
            return Work { call, index, sequence: Some(sequence), claimed };
        }
        self.next += 1;
        self.tokens = self.tokens.saturating_sub(claimed);
        Work { call, index: self.next - 1, sequence: None, claimed }
    }
}

/// The waiting calls. The next item is always one of the call that got the fewest tokens so far, so
/// calls share the packs evenly, however many items each has: a small one never waits for the whole
/// of a huge one. (Fair queueing, as for packets on a line.)
pub(super) struct Queue<W: Workload> {
    entries: VecDeque<Entry<W>>,
}

impl<W: Workload> Queue<W> {
    pub(super) fn new() -> Queue<W> {
        Queue { entries: VecDeque::new() }
    }

    /// Calls with items that nobody claimed.
    pub(super) fn calls(&self) -> usize {
        self.entries.len()
    }

    /// Items that nobody claimed.
    pub(super) fn items(&self) -> usize {
        let waiting = |entry: &Entry<W>| entry.call.items.len() - entry.next + entry.returned.len();
        self.entries.iter().map(waiting).sum()
    }

    /// About how many tokens wait; what was given back is not counted.
    pub(super) fn tokens(&self) -> usize {
        self.entries.iter().map(|entry| entry.tokens).sum()
    }

    fn least_served(&self) -> usize {
        self.entries.iter().map(|entry| entry.served).min().unwrap_or(0)
    }

    pub(super) fn push(&mut self, call: Arc<Shared<W::Item>>, workload: &W) {
        let tokens = call.items.iter().map(|item| workload.estimate(item)).sum();
        let served = self.least_served();
        self.entries.push_back(Entry { call, next: 0, returned: Vec::new(), tokens, served });
    }

    /// Items of about `budget` tokens together, one at least, none where nothing waits.
    pub(super) fn claim(&mut self, budget: usize, workload: &W) -> Vec<Work<W>> {
        self.entries.retain(|entry| !entry.call.is_cancelled());
        let mut claimed = Vec::new();
        let mut tokens = 0;
        while let Some(place) = (0..self.entries.len()).min_by_key(|&at| self.entries[at].served) {
            let entry = &mut self.entries[place];
            // Entries without an item that waits are removed below.
            let Some(size) = entry.peek(workload) else { break };
            if tokens + size > budget && !claimed.is_empty() {
                break;
            }
            tokens += size;
            claimed.push(entry.take(size));
            if entry.peek(workload).is_none() {
                self.entries.remove(place);
            }
        }
        claimed
    }

    /// Charges a call for the tokens that an item has, rather than those it was claimed for.
    pub(super) fn settle(&mut self, work: &Work<W>, tokens: usize) {
        if let Some(entry) = self.entry(&work.call) {
            entry.served = (entry.served + tokens).saturating_sub(work.claimed);
        }
    }

    /// Lets a claimed item wait again. It goes before all others of its call.
    pub(super) fn give_back(&mut self, work: Work<W>, sequence: W::Sequence) {
        let Work { call, index, claimed, .. } = work;
        if call.is_cancelled() {
            return;
        }
        if let Some(entry) = self.entry(&call) {
            entry.served = entry.served.saturating_sub(claimed);
            entry.returned.push((index, sequence));
        } else {
            let next = call.items.len();
            let returned = vec![(index, sequence)];
            let served = self.least_served();
            self.entries.push_front(Entry { call, next, returned, tokens: 0, served });
        }
    }

    fn entry(&mut self, call: &Arc<Shared<W::Item>>) -> Option<&mut Entry<W>> {
        self.entries.iter_mut().find(|entry| Arc::ptr_eq(&entry.call, call))
    }

    /// Forgets what is left of a call.
    pub(super) fn remove(&mut self, call: &Arc<Shared<W::Item>>) {
        self.entries.retain(|entry| !Arc::ptr_eq(&entry.call, call));
    }
}
