//! A second opinion: straight from the JSON, with numbers compared digit by digit and moments as
//! nanoseconds.

use std::cmp::Ordering;

use serde_json::{Number, Value, json};

use crate::record::Id;
use crate::records::StoredRecord;

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
            let mut entries: Vec<String> =
                map.iter().map(|(key, value)| format!("{key:?}:{}", canonical(value))).collect();
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
