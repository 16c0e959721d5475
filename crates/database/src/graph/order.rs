//! In what order a build handles rows: near ones one after the other, so that the rows which one
//! is compared with were mostly compared with the one before and are still in a cache.

use kernels::Backend;

use super::space::Points;

/// The rows by the places that they have while a graph is built.
pub(crate) struct Order {
    rows: Vec<u32>,
    places: Vec<u32>,
}

impl Order {
    /// Puts `rows`, whose nearest leaders `homes` names by number, side by side by leader, and the
    /// leaders in a chain from each one to the nearest that is left. Rows that are not listed, which
    /// are copies, come last.
    pub(crate) fn by_leaders(
        points: &Points,
        rows: &[u32],
        homes: impl Iterator<Item = u32>,
        leaders: &[u32],
    ) -> Self {
        let mut members = vec![Vec::new(); leaders.len()];
        for (&row, home) in rows.iter().zip(homes) {
            members[home as usize].push(row);
        }
        let chain = chain(points, leaders);
        Self::beginning_with(
            chain.iter().flat_map(|&leader| members[leader].iter().copied()),
            points.len(),
        )
    }

    /// These rows, then all others.
    pub(crate) fn beginning_with(first: impl Iterator<Item = u32>, count: usize) -> Self {
        let mut places = vec![u32::MAX; count];
        let mut rows = Vec::with_capacity(count);
        for row in first.chain(0..count as u32) {
            let place = &mut places[row as usize];
            if *place == u32::MAX {
                *place = rows.len() as u32;
                rows.push(row);
            }
        }
        Self { rows, places }
    }

    /// The row at a place.
    pub(crate) fn row(&self, place: u32) -> u32 {
        self.rows[place as usize]
    }

    /// Where a row is.
    pub(crate) fn place(&self, row: u32) -> u32 {
        self.places[row as usize]
    }
}

/// The positions of `leaders`, each followed by the nearest of those that are left: a distance a
/// pair, of at most a thousand.
fn chain(points: &Points, leaders: &[u32]) -> Vec<usize> {
    let backend = Backend::active();
    let mut left: Vec<usize> = (1..leaders.len()).collect();
    let mut chain = Vec::with_capacity(leaders.len());
    chain.extend((!leaders.is_empty()).then_some(0));
    while let Some(&last) = chain.last() {
        let distance =
            |&position: &usize| points.distance(backend, leaders[last], leaders[position]);
        let nearest = left.iter().map(distance).enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b));
        let Some((at, _)) = nearest else { break };
        chain.push(left.swap_remove(at));
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_one_place_whatever_comes_first() {
        let order = Order::beginning_with([4, 1, 4, 3].into_iter(), 6);
        let rows: Vec<u32> = (0..6).map(|place| order.row(place)).collect();
        assert_eq!(rows, [4, 1, 3, 0, 2, 5]);
        assert!((0..6).all(|row| order.row(order.place(row)) == row));
    }
}
