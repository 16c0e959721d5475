//! What strings are ordered by: dates and times by the moment they name, others by code point.
//!
//! One rule covers both, so that the order is transitive whatever is mixed: every string has a
//! sort text, and sort texts are compared by code point. The sort text of a date or time is the
//! shortest text of its moment in UTC, without the zeros at its end:
//!
//! | text | sort text |
//! |---|---|
//! | `2024-05-01` | `2024-05-01` |
//! | `2024-05-01T00:00:00Z` | `2024-05-01` |
//! | `2024-05-01 12:30+02:00` | `2024-05-01T10:30` |
//! | `2024-05-01T23:59:59.500-01:00` | `2024-05-02T00:59:59.5` |
//! | `2024-05`, `May 1st`, `2024-02-30` | itself |
//!
//! Such texts are in order of code points exactly if their moments are in order of time: their
//! digits stand in fixed places, and what is cut off is less than anything that could stand there.

use std::borrow::Cow;

/// Digits of a fraction of a second; a text with more of them is not taken for a time.
const MAX_FRACTION_DIGITS: usize = 9;

/// `YYYY-MM-DD`.
const DATE_BYTES: usize = 10;

/// What a string is ordered by.
///
/// A date is `YYYY-MM-DD` of the Gregorian calendar. A time is a date, `T` or `t` or a space,
/// `HH:MM`, perhaps `:SS`, perhaps a point and 1 to 9 digits, perhaps a zone: `Z`, `z`, `+HH:MM`,
/// `+HHMM`, `+HH` or the same with a minus. Without a zone it is taken to be UTC, and a date to be
/// its first moment. Its year in UTC must be 0000 to 9999. Any other string is ordered by itself.
pub(crate) fn sort_text(text: &str) -> Cow<'_, str> {
    match Moment::parse(text.as_bytes()) {
        // A date alone is its own sort text.
        Some(_) if text.len() == DATE_BYTES => Cow::Borrowed(text),
        Some(moment) => Cow::Owned(moment.shortest()),
        None => Cow::Borrowed(text),
    }
}

/// A moment in UTC.
struct Moment<'a> {
    year: u32,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    /// Digits behind the point, without zeros at the end.
    fraction: &'a [u8],
}

impl<'a> Moment<'a> {
    fn parse(text: &'a [u8]) -> Option<Self> {
        let (date, rest) = text.split_at_checked(DATE_BYTES)?;
        // The cheapest test that nearly every other string fails.
        if date[4] != b'-' || date[7] != b'-' {
            return None;
        }
        let mut moment = Self {
            year: number(&date[..4])?,
            month: number(&date[5..7])?,
            day: number(&date[8..])?,
            hour: 0,
            minute: 0,
            second: 0,
            fraction: &[],
        };
        if !(1..=12).contains(&moment.month)
            || !(1..=days_in_month(moment.year, moment.month)).contains(&moment.day)
        {
            return None;
        }
        match rest.split_first() {
            None => Some(moment),
            Some((b'T' | b't' | b' ', time)) => {
                let zone = moment.parse_time(time)?;
                moment.shift(-zone_minutes(zone)?)?;
                Some(moment)
            }
            Some(_) => None,
        }
    }

    /// Takes `HH:MM[:SS[.fraction]]` and gives back what follows it.
    fn parse_time(&mut self, time: &'a [u8]) -> Option<&'a [u8]> {
        let (clock, mut rest) = time.split_at_checked(5)?;
        if clock[2] != b':' {
            return None;
        }
        self.hour = number(&clock[..2]).filter(|hour| *hour < 24)?;
        self.minute = number(&clock[3..]).filter(|minute| *minute < 60)?;
        if let [b':', behind @ ..] = rest {
            let (second, behind) = behind.split_at_checked(2)?;
            self.second = number(second).filter(|second| *second < 60)?;
            rest = behind;
            if let [b'.', behind @ ..] = rest {
                let digits = behind.iter().take_while(|byte| byte.is_ascii_digit()).count();
                if !(1..=MAX_FRACTION_DIGITS).contains(&digits) {
                    return None;
                }
                let zeros = behind[..digits].iter().rev().take_while(|byte| **byte == b'0').count();
                self.fraction = &behind[..digits - zeros];
                rest = &behind[digits..];
            }
        }
        Some(rest)
    }

    /// Goes less than a day forth or back; `None` beyond the years of four digits.
    fn shift(&mut self, minutes: i32) -> Option<()> {
        let shifted = (self.hour * 60 + self.minute) as i32 + minutes;
        if shifted < 0 {
            if self.day > 1 {
                self.day -= 1;
            } else if self.month > 1 {
                self.month -= 1;
                self.day = days_in_month(self.year, self.month);
            } else {
                (self.year, self.month, self.day) = (self.year.checked_sub(1)?, 12, 31);
            }
        } else if shifted >= MINUTES_IN_DAY {
            if self.day < days_in_month(self.year, self.month) {
                self.day += 1;
            } else if self.month < 12 {
                (self.month, self.day) = (self.month + 1, 1);
            } else {
                (self.year, self.month, self.day) = (self.year + 1, 1, 1);
            }
        }
        let minute_of_day = shifted.rem_euclid(MINUTES_IN_DAY) as u32;
        (self.hour, self.minute) = (minute_of_day / 60, minute_of_day % 60);
        (self.year <= 9999).then_some(())
    }

    fn shortest(&self) -> String {
        let Self { year, month, day, hour, minute, second, fraction } = self;
        let mut text = format!("{year:04}-{month:02}-{day:02}");
        let parts = [(*hour, 'T'), (*minute, ':'), (*second, ':')];
        let last = match parts.iter().rposition(|(number, _)| *number != 0) {
            _ if !fraction.is_empty() => parts.len(),
            last => last.map_or(0, |last| last + 1),
        };
        for (number, before) in &parts[..last] {
            text.push(*before);
            text.push(char::from(b'0' + (number / 10) as u8));
            text.push(char::from(b'0' + (number % 10) as u8));
        }
        if !fraction.is_empty() {
            text.push('.');
            text.extend(fraction.iter().map(|digit| char::from(*digit)));
        }
        text
    }
}

const MINUTES_IN_DAY: i32 = 24 * 60;

/// How far a zone is ahead of UTC.
fn zone_minutes(zone: &[u8]) -> Option<i32> {
    let (sign, hours, minutes): (u8, &[u8], &[u8]) = match zone {
        [] | [b'Z' | b'z'] => return Some(0),
        [sign, hours @ .., b':', _, _] if hours.len() == 2 => (*sign, hours, &zone[4..]),
        [sign, hours @ .., _, _] if hours.len() == 2 => (*sign, hours, &zone[3..]),
        [sign, hours @ ..] if hours.len() == 2 => (*sign, hours, b"00"),
        _ => return None,
    };
    let hours = number(hours).filter(|hours| *hours < 24)? as i32;
    let minutes = number(minutes).filter(|minutes| *minutes < 60)? as i32;
    match sign {
        b'+' => Some(hours * 60 + minutes),
        b'-' => Some(-(hours * 60 + minutes)),
        _ => None,
    }
}

fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(if year.is_multiple_of(100) { 400 } else { 4 }) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Digits and nothing else.
fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, byte| {
        byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0'))
    })
}
