//! Rows in order, against sorting all of them.

use database::{Direction, Key, OrderBy};
use proptest::prelude::*;
use roaring::RoaringBitmap;
use serde_json::{Value, json};

use crate::json;
use crate::rows::{Row, Rows};

fn order(name: &str, direction: Direction) -> OrderBy {
    OrderBy { key: Key::parse(name).unwrap(), direction }
}

/// All rows in order: a stable sort, by comparing two at a time.
fn sorted(rows: &Rows, order: &OrderBy, among: &RoaringBitmap) -> Vec<(Option<Value>, u32)> {
    let value = |row: u32| {
        order.key.value(&rows.rows[row as usize].fields()).map(|value| value.into_owned())
    };
    let mut sorted: Vec<(Option<Value>, u32)> = among.iter().map(|row| (value(row), row)).collect();
    sorted.sort_by(|(a, _), (b, _)| order.compare(a.as_ref(), b.as_ref()));
    sorted
}

fn check(rows: &Rows, order: &OrderBy, among: Option<&RoaringBitmap>, limit: usize) {
    let all: RoaringBitmap = (0..rows.rows.len() as u32).collect();
    let mut expected = sorted(rows, order, among.unwrap_or(&all));
    expected.truncate(limit);
    rows.take_looked_at();
    let found = rows.index().sorted_rows(order, among, limit, rows).unwrap();
    assert_eq!(found.len(), expected.len());
    for ((value, row), (expected_value, expected_row)) in found.iter().zip(&expected) {
        assert_eq!(row, expected_row, "{order:?} {limit} {found:?} {expected:?}");
        // Numbers may be spelled in another way.
        assert!(order.compare(value.as_ref(), expected_value.as_ref()).is_eq());
    }
    let most = rows.looked_at.borrow().values().copied().max();
    assert!(most.is_none_or(|most| most == 1), "{order:?} looks at rows twice");
}

fn direction() -> impl Strategy<Value = Direction> {
    prop::sample::select(vec![Direction::Ascending, Direction::Descending])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn rows_come_in_the_order_of_any_key(
        rows in json::rows(),
        name in json::any_key(),
        direction in direction(),
        step in 1usize..4,
        limit in prop_oneof![0usize..20, Just(usize::MAX)],
    ) {
        let among: RoaringBitmap = (0..rows.rows.len() as u32).step_by(step).collect();
        check(&rows, &order(&name, direction), (step > 1).then_some(&among), limit);
    }

    /// Texts alone: many distinct ones that share prefixes, so that long ones meet short ones.
    #[test]
    fn long_texts_find_their_place_among_short_ones(
        texts in prop::collection::vec((json::text(), json::text()), 1..60),
        direction in direction(),
        limit in prop_oneof![1usize..20, Just(usize::MAX)],
    ) {
        let row = |(number, (start, end)): (usize, (String, String))| {
            Row::new(number as i64, json!({ "k": format!("{start}{end}") }))
        };
        let rows = Rows::from(texts.into_iter().enumerate().map(row).collect::<Vec<_>>());
        check(&rows, &order("k", direction), None, limit);
    }

    #[test]
    fn the_first_of_some_are_the_first_of_all_sorted(
        values in prop::collection::vec(prop::option::of(json::value()), 0..30),
        direction in direction(),
        limit in 0usize..40,
    ) {
        let order = order("k", direction);
        let records: Vec<(Option<Value>, usize)> = values.into_iter().zip(0..).collect();
        let mut expected = records.clone();
        expected.sort_by(|(a, _), (b, _)| order.compare(a.as_ref(), b.as_ref()));
        expected.truncate(limit);
        prop_assert_eq!(order.first(records, limit), expected);
    }
}

#[test]
fn kinds_have_an_order_and_missing_comes_last_both_ways() {
    let values = [
        json!({"k": [1]}),
        json!({"k": "2024-05-01T12:00+02:00"}),
        json!({"k": "2024-05-01T11:00"}),
        json!({}),
        json!({"k": 1.5}),
        json!({"k": {"a": 1}}),
        json!({"k": null}),
        json!({"k": 1}),
        json!({"k": true}),
        json!({"k": false}),
        json!({"k": 1.0}),
        json!({"k": "2023"}),
    ];
    let rows = values.into_iter().zip(0..).map(|(metadata, id)| Row::new(id, metadata));
    let rows = Rows::from(rows.collect::<Vec<_>>());
    let order_of = |direction| {
        let sorted = rows.index().sorted_rows(&order("k", direction), None, 100, &rows).unwrap();
        sorted.into_iter().map(|(_, row)| row).collect::<Vec<_>>()
    };
    assert_eq!(order_of(Direction::Ascending), [6, 9, 8, 7, 10, 4, 11, 1, 2, 0, 5, 3]);
    assert_eq!(order_of(Direction::Descending), [5, 0, 2, 1, 11, 4, 7, 10, 8, 9, 6, 3]);
}

#[test]
fn the_first_of_many_rows_are_found_without_looking_at_one() {
    let row = |number: i64| Row::new(number, json!({ "number": number * 7919 % 5000 }));
    let rows = Rows::from((0..5000).map(row).collect::<Vec<_>>());
    for direction in [Direction::Ascending, Direction::Descending] {
        check(&rows, &order("number", direction), None, 10);
        assert_eq!(rows.take_looked_at(), 0);
        let few: RoaringBitmap = [3, 17, 4000].into();
        check(&rows, &order("number", direction), Some(&few), 10);
        assert_eq!(rows.take_looked_at(), 3);
    }
}
