use std::cmp::Ordering;

use proptest::prelude::*;
use serde_json::{Map, Number, Value, json};

use super::{Filter, compare};
use crate::record::{Id, Place};
use crate::records::StoredRecord;

fn record(id: Id, metadata: Option<Value>, place: Option<(&str, u64)>) -> StoredRecord {
    StoredRecord {
        id,
        metadata: metadata.map(Into::into),
        place: place.map(|(source, line)| Place { source: source.into(), start: 0, end: 0, line }),
        text: None,
        logged_bytes: 0,
    }
}

fn matches(filter: Value, metadata: Value) -> bool {
    Filter::parse(&filter).unwrap().matches(&record(Id::Int(1), Some(metadata), None))
}

#[test]
fn examples_of_every_operator() {
    let book = json!({
        "title": "Éloge", "year": 1990, "tags": ["a", "b", 3], "author": {"name": "Ann"},
        "nothing": null, "draft": false, "dotted.key": 1, "price": 12.5
    });
    for (filter, expected) in [
        (json!({}), true),
        (json!({"title": "Éloge"}), true),
        (json!({"title": "éloge"}), false),
        (json!({"year": 1990.0, "draft": false}), true),
        (json!({"year": {"$gt": 1989, "$lte": 1990}}), true),
        (json!({"year": {"$gt": 1989, "$lt": 1990}}), false),
        (json!({"year": {"$gt": "1989"}}), false),
        (json!({"title": {"$gte": "É", "$lt": "Ê"}}), true),
        (json!({"draft": {"$lt": true}}), true),
        (json!({"draft": 0}), false),
        (json!({"year": {"$in": ["1990", 1990]}}), true),
        (json!({"year": {"$in": []}}), false),
        (json!({"year": {"$nin": []}}), true),
        (json!({"missing": {"$nin": [1]}}), true),
        (json!({"missing": {"$ne": 1}}), true),
        (json!({"missing": null}), false),
        (json!({"nothing": null}), true),
        (json!({"nothing": {"$exists": true}}), true),
        (json!({"missing": {"$exists": false}}), true),
        (json!({"title": {"$contains": "log"}}), true),
        (json!({"tags": {"$contains": "b"}}), true),
        (json!({"tags": {"$contains": 3.0}}), true),
        (json!({"tags": {"$contains": "ab"}}), false),
        (json!({"year": {"$contains": 1}}), false),
        (json!({"author.name": "Ann"}), true),
        (json!({"author.name.first": "Ann"}), false),
        (json!({"dotted.key": 1}), true),
        (json!({"author": {"$eq": {"name": "Ann"}}}), true),
        (json!({"price": {"$not": {"$gt": 12.4}}}), false),
        (json!({"missing": {"$not": {"$gt": 12.4}}}), true),
        (json!({"$not": {"year": 1990}}), false),
        (json!({"$or": [{"year": 1}, {"draft": false}]}), true),
        (json!({"$and": [{"year": 1990}, {"draft": true}]}), false),
    ] {
        assert_eq!(matches(filter.clone(), book.clone()), expected, "{filter}");
    }
}

#[test]
fn numbers_are_compared_without_rounding() {
    let above = 9_007_199_254_740_993i64; // 2^53 + 1, which no f64 holds
    assert!(!matches(json!({"n": 9_007_199_254_740_992f64}), json!({ "n": above })));
    assert!(matches(json!({"n": {"$lt": above}}), json!({"n": 9_007_199_254_740_992f64})));
    assert!(matches(json!({"n": {"$gt": i64::MAX}}), json!({ "n": u64::MAX })));
    assert!(matches(json!({"n": {"$gt": u64::MAX}}), json!({"n": 18_446_744_073_709_551_616f64})));
    assert!(matches(json!({"n": {"$lt": i64::MIN}}), json!({"n": -1e300})));
    assert!(matches(json!({"n": 0}), json!({"n": -0.0})));
    assert!(matches(json!({"n": {"$lt": -2, "$gt": -3}}), json!({"n": -2.5})));
}

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
        assert_eq!(super::datetime::sort_text(text), text);
        assert_eq!(naive::moment(text), None, "{text}");
    }
}

#[test]
fn reserved_keys_address_the_record_itself() {
    let check =
        |filter: Value, record: &StoredRecord| Filter::parse(&filter).unwrap().matches(record);
    let placed = record("a#1".into(), None, Some(("docs/a.md", 7)));
    assert!(check(json!({"$id": "a#1", "$source": "docs/a.md", "$line": 7}), &placed));
    assert!(check(json!({"$source": {"$contains": "docs/"}, "$line": {"$gt": 6}}), &placed));
    assert!(!check(json!({"$id": 1}), &placed));
    let bare = record(Id::Int(1), Some(json!({"$source": "trick"})), None);
    assert!(check(json!({"$id": {"$in": [1, 2]}, "$source": {"$exists": false}}), &bare));
    assert!(check(json!({"$line": {"$ne": 7}}), &bare));
}

#[test]
fn errors_name_the_place_and_what_is_allowed() {
    let deep = |depth| (0..depth).fold(json!({"k": 1}), |inner, _| json!({ "$not": inner }));
    for (filter, at, problem) in [
        (json!([1]), "", "not an array"),
        (json!({"k": {"$gtt": 1}}), "k.$gtt", "unknown operator '$gtt': use $eq"),
        (json!({"k": {"sub": 1}}), "k.sub", "written with a dot"),
        (json!({"k": {}}), "k", "expected an operator: $eq"),
        (json!({"$xor": []}), "$xor", "$and, $or or $not"),
        (json!({"$or": []}), "$or", "at least one"),
        (json!({"$and": [{"a": 1}, {"b": {"$in": 5}}]}), "$and[1].b.$in", "an array of values"),
        (json!({"$and": {"a": 1}}), "$and", "an array of filters, not an object"),
        (json!({"k": {"$gt": null}}), "k.$gt", "a number, a string or a boolean"),
        (json!({"k": {"$exists": 1}}), "k.$exists", "true or false, not a number"),
        (json!({"k": {"$contains": [1]}}), "k.$contains", "not an array"),
        (json!({"k": {"$not": 5}}), "k.$not", "an object of operators"),
    ] {
        let error = Filter::parse(&filter).unwrap_err();
        assert_eq!(error.at, at, "{filter}");
        assert!(error.problem.contains(problem), "{filter}: {error}");
        assert!(error.to_string().contains(at), "{error}");
    }
    assert!(Filter::parse(&deep(60)).is_ok());
    let error = Filter::parse(&deep(65)).unwrap_err();
    assert!(error.problem.contains("64 levels"), "{error}");
}

/// A second opinion: straight from the JSON, with numbers compared digit by digit.
mod naive {
    use super::*;

    pub(super) fn matches(filter: &Value, record: &StoredRecord) -> bool {
        let Value::Object(map) = filter else { unreachable!() };
        map.iter().all(|(key, value)| match key.as_str() {
            "$and" => list(value).iter().all(|filter| matches(filter, record)),
            "$or" => list(value).iter().any(|filter| matches(filter, record)),
            "$not" => !matches(value, record),
            key => tests(value, lookup(record, key).as_ref()),
        })
    }

    fn list(value: &Value) -> &Vec<Value> {
        value.as_array().unwrap()
    }

    fn lookup(record: &StoredRecord, key: &str) -> Option<Value> {
        match key {
            "$id" => Some(match &record.id {
                Id::Int(number) => json!(number),
                Id::Str(text) => json!(text.to_string()),
            }),
            "$source" => record.place.as_ref().map(|place| json!(place.source.to_string())),
            "$line" => record.place.as_ref().map(|place| json!(place.line)),
            key => descend(record.metadata.as_deref()?, key).cloned(),
        }
    }

    fn descend<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
        let map = value.as_object()?;
        match (map.get(key), key.find('.')) {
            (Some(found), _) => Some(found),
            (None, Some(dot)) => descend(map.get(&key[..dot])?, &key[dot + 1..]),
            (None, None) => None,
        }
    }

    fn tests(wanted: &Value, found: Option<&Value>) -> bool {
        let Value::Object(operators) = wanted else {
            return found.is_some_and(|found| canonical(found) == canonical(wanted));
        };
        operators.iter().all(|(operator, operand)| {
            let equal =
                |operand: &Value| found.is_some_and(|found| canonical(found) == canonical(operand));
            let ordering = || order(found?, operand);
            match operator.as_str() {
                "$eq" => equal(operand),
                "$ne" => !equal(operand),
                "$in" => list(operand).iter().any(equal),
                "$nin" => !list(operand).iter().any(equal),
                "$gt" => ordering() == Some(Ordering::Greater),
                "$gte" => matches!(ordering(), Some(Ordering::Greater | Ordering::Equal)),
                "$lt" => ordering() == Some(Ordering::Less),
                "$lte" => matches!(ordering(), Some(Ordering::Less | Ordering::Equal)),
                "$exists" => found.is_some() == operand.as_bool().unwrap(),
                "$contains" => match found {
                    Some(Value::String(text)) => {
                        operand.as_str().is_some_and(|part| text.split(part).count() > 1)
                    }
                    Some(Value::Array(items)) => {
                        items.iter().any(|item| canonical(item) == canonical(operand))
                    }
                    _ => false,
                },
                "$not" => !tests(operand, found),
                _ => unreachable!(),
            }
        })
    }

    /// One spelling for each value: equal values, equal texts.
    fn canonical(value: &Value) -> String {
        match value {
            Value::Number(number) => {
                let (negative, digits) = decimal(number);
                let digits = digits.trim_start_matches('0').trim_end_matches('0');
                format!("{}{digits}", if negative { "-" } else { "" })
            }
            Value::Array(items) => {
                format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(","))
            }
            Value::Object(map) => {
                let mut entries: Vec<String> = map
                    .iter()
                    .map(|(key, value)| format!("{key:?}:{}", canonical(value)))
                    .collect();
                entries.sort();
                format!("{{{}}}", entries.join(","))
            }
            other => other.to_string(),
        }
    }

    pub(super) fn order(a: &Value, b: &Value) -> Option<Ordering> {
        match (a, b) {
            (Value::Number(a), Value::Number(b)) => {
                let ((a_negative, a), (b_negative, b)) = (decimal(a), decimal(b));
                Some(match (a_negative, b_negative) {
                    (false, false) => a.cmp(&b),
                    (true, true) => b.cmp(&a),
                    (true, false) => Ordering::Less,
                    (false, true) => Ordering::Greater,
                })
            }
            (Value::String(a), Value::String(b)) => Some(match (moment(a), moment(b)) {
                (Some(a), Some(b)) => a.cmp(&b),
                (a_moment, b_moment) => {
                    let a = a_moment.map_or(a.clone(), shortest);
                    let b = b_moment.map_or(b.clone(), shortest);
                    a.chars().cmp(b.chars())
                }
            }),
            (Value::Bool(a), Value::Bool(b)) => Some(u8::from(*a).cmp(&u8::from(*b))),
            _ => None,
        }
    }

    const DAY: i128 = 86_400_000_000_000;

    /// Nanoseconds since the first moment of the year 0, in UTC.
    pub(super) fn moment(text: &str) -> Option<i128> {
        let shape: String = text
            .chars()
            .map(|letter| match letter {
                '0'..='9' => '0',
                't' | ' ' => 'T',
                'z' => 'Z',
                '-' | '+' => '-',
                other => other,
            })
            .collect();
        let zones = ["", "Z", "-00:00", "-0000", "-00"];
        let clocks = (1..=9).map(|digits| format!("T00:00:00.{}", "0".repeat(digits)));
        let clocks: Vec<String> = clocks.chain(["T00:00".into(), "T00:00:00".into()]).collect();
        let is_time = clocks
            .iter()
            .any(|clock| zones.iter().any(|zone| shape == format!("0000-00-00{clock}{zone}")));
        if !(is_time || shape == "0000-00-00") || &text[4..5] != "-" || &text[7..8] != "-" {
            return None;
        }
        let number = |range: std::ops::Range<usize>| {
            text.get(range).map_or(0, |digits| digits.parse::<i128>().unwrap_or(0))
        };
        let (year, month, day) = (number(0..4), number(5..7), number(8..10));
        let in_year = months(year);
        let days_in_month = *in_year.get(usize::try_from(month - 1).ok()?)?;
        let before: i128 = (0..year).map(|year| months(year).iter().sum::<i128>()).sum();
        let days = before + in_year[..month as usize - 1].iter().sum::<i128>() + day - 1;
        let has_seconds = text.get(16..17) == Some(":");
        let (hour, minute) = (number(11..13), number(14..16));
        let second = if has_seconds { number(17..19) } else { 0 };
        if day < 1 || day > days_in_month || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let behind = if has_seconds { &text[19..] } else { text.get(16..).unwrap_or("") };
        let (fraction, zone) = match behind.strip_prefix('.') {
            Some(rest) => rest.split_at(rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len())),
            None => ("", behind),
        };
        let nanoseconds: i128 = format!("{fraction:0<9}").parse().unwrap();
        let digits: String = zone.chars().filter(char::is_ascii_digit).collect();
        let ahead: i128 = format!("{digits:0<4}").parse().unwrap();
        let (ahead_hours, ahead_minutes) = (ahead / 100, ahead % 100);
        if ahead_hours > 23 || ahead_minutes > 59 {
            return None;
        }
        let ahead = (ahead_hours * 60 + ahead_minutes) * if zone.starts_with('-') { -1 } else { 1 };
        let seconds = (hour * 60 + minute - ahead) * 60 + second;
        let moment = days * DAY + seconds * 1_000_000_000 + nanoseconds;
        let years: i128 = (0..10_000).map(|year| months(year).iter().sum::<i128>()).sum();
        (0..years * DAY).contains(&moment).then_some(moment)
    }

    fn shortest(moment: i128) -> String {
        let (mut days, within) = (moment / DAY, moment % DAY);
        let (mut year, mut month) = (0, 0);
        while days >= months(year).iter().sum::<i128>() {
            days -= months(year).iter().sum::<i128>();
            year += 1;
        }
        while days >= months(year)[month] {
            days -= months(year)[month];
            month += 1;
        }
        let (seconds, nanoseconds) = (within / 1_000_000_000, within % 1_000_000_000);
        let full = format!(
            "{year:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{nanoseconds:09}",
            month + 1,
            days + 1,
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60
        );
        let mut text = full.trim_end_matches('0').trim_end_matches('.');
        if text.len() < 19 {
            // The seconds end in a zero of their own.
            text = &full[..19];
        }
        for end in [":00", ":00", "T00"] {
            match text.strip_suffix(end) {
                Some(shorter) => text = shorter,
                None => break,
            }
        }
        text.to_owned()
    }

    fn months(year: i128) -> [i128; 12] {
        let is_leap = year % 4 == 0 && year % 100 != 0 || year % 400 == 0;
        [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    }

    /// Sign, and all the digits at fixed width: 320 before the point, 1080 behind it.
    fn decimal(number: &Number) -> (bool, String) {
        let text = if number.is_f64() {
            format!("{:.1080}", number.as_f64().unwrap())
        } else {
            format!("{number}.{:0<1080}", "")
        };
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest.to_owned()),
            None => (false, text),
        };
        let is_zero = text.bytes().all(|byte| matches!(byte, b'0' | b'.'));
        (negative && !is_zero, format!("{text:0>1401}"))
    }
}

/// Zero twice, one thrice, and the edges of what 64-bit integers and floats can hold.
fn telling_numbers() -> Vec<Value> {
    vec![
        json!(0),
        json!(-0.0),
        json!(1),
        json!(1.0),
        json!(-1),
        json!(1.5),
        json!(-1.5),
        json!(0.1),
        json!(9_007_199_254_740_992i64),
        json!(9_007_199_254_740_993i64),
        json!(9_007_199_254_740_992f64),
        json!(i64::MAX),
        json!(i64::MAX - 1),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(9_223_372_036_854_775_808u64),
        json!(9_223_372_036_854_775_808f64),
        json!(-9_223_372_036_854_775_808f64),
        json!(18_446_744_073_709_551_616f64),
        json!(1e300),
        json!(-1e300),
        json!(5e-324),
    ]
}

#[test]
fn every_two_telling_numbers_are_ordered_by_their_digits() {
    for a in telling_numbers() {
        for b in telling_numbers() {
            assert_eq!(compare::order(&a, &b), naive::order(&a, &b), "{a} and {b}");
            let equal = naive::order(&a, &b) == Some(Ordering::Equal);
            assert_eq!(compare::equal(&a, &b), equal, "{a} and {b}");
        }
    }
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::sample::select(telling_numbers()),
        (-4i32..4).prop_map(|number| json!(f64::from(number) / 2.0)),
    ]
}

/// Dates, times and near misses, in many spellings.
fn datetime() -> impl Strategy<Value = String> {
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

    #[test]
    fn the_order_of_all_values_is_one_order_and_knows_equality(
        values in prop::collection::vec(value(), 3..4),
    ) {
        let order = |a: usize, b: usize| compare::total_order(&values[a], &values[b]);
        for (a, b) in [(0, 1), (1, 2), (2, 0)] {
            prop_assert_eq!(order(a, b).is_eq(), compare::equal(&values[a], &values[b]));
            prop_assert_eq!(order(a, b), order(b, a).reverse());
            if let Some(expected) = compare::order(&values[a], &values[b]).filter(|o| o.is_ne()) {
                prop_assert_eq!(order(a, b), expected);
            }
        }
        if order(0, 1).is_le() && order(1, 2).is_le() {
            prop_assert!(order(0, 2).is_le(), "{:?}", &values);
        }
    }
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        number(),
        datetime().prop_map(Value::from),
        prop::sample::select(vec!["", "a", "ab", "b", "é", "1", "\u{10000}", "\u{ffff}"])
            .prop_map(|text| json!(text)),
        any::<bool>().prop_map(|flag| json!(flag)),
        Just(Value::Null),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(2, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            object(inner).prop_map(Value::Object),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "a.b", "b.a", "a.b.a"]).prop_map(str::to_owned)
}

fn object(values: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec((key(), values), 0..3).prop_map(|entries| entries.into_iter().collect())
}

fn operators() -> impl Strategy<Value = Value> {
    let comparable = || {
        prop_oneof![
            number(),
            any::<bool>().prop_map(|flag| json!(flag)),
            prop::sample::select(vec!["", "a", "b", "é"]).prop_map(|text| json!(text))
        ]
    };
    let one = prop_oneof![
        (prop::sample::select(vec!["$eq", "$ne"]), value()).boxed(),
        (
            prop::sample::select(vec!["$in", "$nin"]),
            prop::collection::vec(value(), 0..4).prop_map(Value::Array)
        )
            .boxed(),
        (prop::sample::select(vec!["$gt", "$gte", "$lt", "$lte"]), comparable()).boxed(),
        (Just("$exists"), any::<bool>().prop_map(|flag| json!(flag))).boxed(),
        (Just("$contains"), scalar()).boxed(),
    ];
    prop::collection::vec(one, 1..3)
        .prop_map(|tests| {
            Value::Object(tests.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
        })
        .prop_recursive(1, 2, 1, |inner| inner.prop_map(|tests| json!({ "$not": tests })))
}

fn filter() -> impl Strategy<Value = Value> {
    let keys = prop_oneof![
        4 => key(),
        1 => prop::sample::select(vec!["$id", "$source", "$line"]).prop_map(str::to_owned),
    ];
    let tests = prop_oneof![
        operators(),
        scalar(),
        prop::collection::vec(scalar(), 0..2).prop_map(Value::Array)
    ];
    prop::collection::vec((keys, tests), 0..3)
        .prop_map(|entries| Value::Object(entries.into_iter().collect()))
        .prop_recursive(3, 8, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..3).prop_map(|all| json!({ "$and": all })),
                prop::collection::vec(inner.clone(), 1..3).prop_map(|any| json!({ "$or": any })),
                inner.prop_map(|not| json!({ "$not": not })),
            ]
        })
}

fn stored_record() -> impl Strategy<Value = StoredRecord> {
    let id = prop_oneof![
        (-1i64..3).prop_map(Id::Int),
        prop::sample::select(vec!["", "a", "1"]).prop_map(Id::from)
    ];
    let metadata = prop::option::of(object(value()).prop_map(Value::Object));
    let place = prop::option::of((prop::sample::select(vec!["a", "b"]), 0u64..3));
    (id, metadata, place).prop_map(|(id, metadata, place)| record(id, metadata, place))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn filters_agree_with_a_second_opinion(
        filter in filter(),
        records in prop::collection::vec(stored_record(), 1..5),
    ) {
        let parsed = Filter::parse(&filter).unwrap();
        for record in &records {
            prop_assert_eq!(
                parsed.matches(record), naive::matches(&filter, record),
                "{} on {:?}", filter, record
            );
        }
    }

    #[test]
    fn any_json_parses_or_is_an_error(filter in value()) {
        if let Err(error) = Filter::parse(&filter) {
            prop_assert!(!error.problem.is_empty());
        }
    }
}
