//! Dates and times.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{matches, naive};
use crate::filter::{compare, datetime::sort_text};

/// Texts in order of time; those in one line name one moment.
const MOMENTS: &[&[&str]] = &[
    &["0000-01-01", "0000-01-01T01:00+01:00"],
    &["1999-12-31T23:59:59.999999999Z"],
    &["2000-01-01", "2000-01-01T00:00:00.000", "1999-12-31 22:30-01:30"],
    &["2024-02-28T23:59:59.5-00:00"],
    &["2024-02-29", "2024-02-29t00:00z", "2024-02-28T19:00-0500", "2024-02-29T23:59+23:59"],
    &["2024-02-29T10:00", "2024-02-29T12:00+02", "2024-02-28 10:01-23:59"],
    &["2024-02-29T10:00:00.25", "2024-02-29T10:00:00.250Z"],
    &["2024-02-29T10:00:00.3"],
    &["2024-02-29T10:00:01"],
    &["2024-02-29T10:01", "2024-02-29T10:01:00Z"],
    &["2024-03-01", "2024-02-29T23:30:00-00:30"],
    &["9999-12-31T23:59:59.999999999"],
];

#[test]
fn dates_and_times_are_ordered_by_the_moment_they_name() {
    let moments = MOMENTS
        .iter()
        .zip(0..)
        .flat_map(|(texts, moment)| texts.iter().map(move |text| (moment, text)));
    let moments: Vec<(usize, &&str)> = moments.collect();
    for (a, a_text) in &moments {
        for (b, b_text) in &moments {
            assert_eq!(
                compare::order(&json!(a_text), &json!(b_text)),
                Some(a.cmp(b)),
                "{a_text} {b_text}"
            );
            assert_eq!(compare::equal(&json!(a_text), &json!(b_text)), a_text == b_text);
        }
    }
    assert!(matches(
        json!({"t": {"$gte": "2024-05-01T12:00+02:00", "$lte": "2024-05-01T10:00"}}),
        json!({"t": "2024-05-01T10:00:00Z"})
    ));
    assert!(!matches(json!({"t": "2024-05-01T12:00+02:00"}), json!({"t": "2024-05-01T10:00Z"})));
    assert!(matches(
        json!({"t": {"$gte": "2024-05", "$lt": "2024-06"}}),
        json!({"t": "2024-06-01T00:30+01:00"})
    ));
}

#[test]
fn what_only_looks_like_a_date_is_ordered_by_its_text() {
    for text in [
        "2024",
        "2024-05",
        "2024-5-1",
        "2023-02-29",
        "2024-13-01",
        "2024-00-10",
        "2024-01-00",
        "1900-02-29",
        "2024-05-01T",
        "2024-05-01T10",
        "2024-05-01T24:00",
        "2024-05-01T10:60",
        "2024-05-01T10:00:60",
        "2024-05-01T10:00:00.",
        "2024-05-01T10:00:00.1234567890",
        "2024-05-01T10:00+24:00",
        "2024-05-01T10:00+01:60",
        "2024-05-01T10:00+1",
        "2024-05-01Z",
        "2024-05-01T10:00 Z",
        "2024-05-01T10:00UTC",
        "02024-05-01",
        " 2024-05-01",
        "2024-05-01 ",
        "0000-01-01T00:00+00:01",
        "9999-12-31T23:59-00:01",
        "2024-05-01T10.00",
        "2024/05/01",
        "2024-05-01T1\u{661}:00",
        "2024-05-0é",
        "+024-05-01",
        "2024-05-01T10:00+-1:00",
    ] {
        assert_eq!(sort_text(text), text);
        assert_eq!(naive::moment(text), None, "{text}");
    }
}

/// Dates, times and near misses, in many spellings.
pub(super) fn datetime() -> impl Strategy<Value = String> {
    let date = (
        prop::sample::select(vec!["0000", "1900", "2000", "2023", "2024", "9999"]),
        prop::sample::select(vec!["01", "02", "03", "12", "13"]),
        prop::sample::select(vec!["00", "01", "02", "28", "29", "30", "31"]),
    )
        .prop_map(|(year, month, day)| format!("{year}-{month}-{day}"));
    let time = prop::sample::select(vec![
        "",
        "T00:00",
        " 00:00:00",
        "t10:30",
        "T23:59:59",
        "T23:59:59.999999999",
        "T00:30:10.50",
        "T10",
        "T24:00",
        "T20:00",
        "T00:00:00.0",
        "T00:00:20",
    ]);
    let zone = prop::sample::select(vec!["", "Z", "z", "+01:00", "-01:00", "+0030", "-23", "+24"]);
    (date, time, zone).prop_map(|(date, time, zone)| format!("{date}{time}{zone}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_order_of_strings_is_one_order(
        texts in prop::collection::vec(
            prop_oneof![
                4 => datetime(),
                1 => prop::sample::select(vec!["2024", "2024-01-01 draft", "2024-01-01T00", "", "x"])
                    .prop_map(str::to_owned),
            ],
            3..4,
        ),
    ) {
        let texts: Vec<Value> = texts.into_iter().map(Value::from).collect();
        let order = |a: usize, b: usize| compare::order(&texts[a], &texts[b]).unwrap();
        let naive = |a: usize, b: usize| naive::order(&texts[a], &texts[b]).unwrap();
        for (a, b) in [(0, 1), (1, 2), (2, 0), (1, 1)] {
            prop_assert_eq!(order(a, b), naive(a, b), "{} {}", &texts[a], &texts[b]);
            prop_assert_eq!(order(a, b), order(b, a).reverse());
        }
        if order(0, 1).is_le() && order(1, 2).is_le() {
            prop_assert!(order(0, 2).is_le(), "{:?}", &texts);
        }
    }
}
