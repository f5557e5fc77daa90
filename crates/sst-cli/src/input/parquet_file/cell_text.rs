//! The text of a Parquet cell, equal to the text that CSV or JSON lines would have for it.
//!
//! | type | text |
//! |---|---|
//! | byte arrays, of fixed length too: strings, JSON, BSON, enums and any others | their bytes |
//! | integers | decimal digits |
//! | booleans | `true`, `false` |
//! | floats of 16, 32 and 64 bits | the fewest digits that tell them apart, as `1.0` or `1e300` |
//! | decimals | all digits of their scale, as `12.50` |
//! | dates | `2026-11-25` |
//! | times | `07:30:00.000000`, with as many digits as their unit has |
//! | timestamps | `2026-11-25T07:30:00.000000`, with a `Z` if they are in UTC |
//! | UUIDs | `6ba7b810-9dad-11d1-80b4-00c04fd430c8` |

use std::io::Write;

use parquet::basic::{ConvertedType, LogicalType, TimeUnit};
use parquet::data_type::{ByteArray, FixedLenByteArray, Int96};
use parquet::schema::types::ColumnDescriptor;

use super::column::CellFault;
use crate::input::LineError;

/// Highest number of digits of a decimal, so that it fits into `i128`.
const MAX_DECIMAL_DIGITS: usize = 38;
const SECONDS_PER_DAY: i128 = 86_400;
const NANOS_PER_SECOND: i128 = 1_000_000_000;
/// The Julian day of 1970-01-01; legacy timestamps count Julian days.
const EPOCH_AS_JULIAN_DAY: i128 = 2_440_588;

/// The interpretation of a column's values, as far as it changes their text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The value itself: a number, or bytes.
    Plain,
    /// Unsigned integers.
    Unsigned,
    /// Integers whose last `scale` digits are behind the decimal point.
    Decimal { scale: i32 },
    /// Days since 1970-01-01.
    Date,
    /// Time units since midnight. A unit is 10 to the power of minus `digits` seconds.
    Time { digits: usize },
    /// Time units since 1970-01-01T00:00:00. A unit is 10 to the power of minus `digits` seconds.
    Timestamp { digits: usize, is_utc: bool },
    /// UUIDs of 16 bytes.
    Uuid,
    /// Half-precision floats: two bytes, little-endian.
    Float16,
}

impl Meaning {
    /// The meaning that a column's logical type states, or in older files its converted type.
    pub(super) fn of(column: &ColumnDescriptor) -> Self {
        let decimal = |scale: i32| Self::Decimal { scale };
        match column.logical_type_ref() {
            Some(LogicalType::Integer(it)) if !it.is_signed => return Self::Unsigned,
            Some(LogicalType::Decimal(it)) => return decimal(it.scale),
            Some(LogicalType::Date) => return Self::Date,
            Some(LogicalType::Time(it)) => return Self::Time { digits: digits_of(&it.unit) },
            Some(LogicalType::Timestamp(it)) => {
                let is_utc = it.is_adjusted_to_u_t_c;
                return Self::Timestamp { digits: digits_of(&it.unit), is_utc };
            }
            Some(LogicalType::Uuid) => return Self::Uuid,
            Some(LogicalType::Float16) => return Self::Float16,
            Some(_) => return Self::Plain,
            None => {}
        }
        match column.converted_type() {
            ConvertedType::UINT_8
            | ConvertedType::UINT_16
            | ConvertedType::UINT_32
            | ConvertedType::UINT_64 => Self::Unsigned,
            ConvertedType::DECIMAL => decimal(column.type_scale()),
            ConvertedType::DATE => Self::Date,
            ConvertedType::TIME_MILLIS => Self::Time { digits: 3 },
            ConvertedType::TIME_MICROS => Self::Time { digits: 6 },
            ConvertedType::TIMESTAMP_MILLIS => Self::Timestamp { digits: 3, is_utc: true },
            ConvertedType::TIMESTAMP_MICROS => Self::Timestamp { digits: 6, is_utc: true },
            _ => Self::Plain,
        }
    }
}

const fn digits_of(unit: &TimeUnit) -> usize {
    match unit {
        TimeUnit::MILLIS => 3,
        TimeUnit::MICROS => 6,
        TimeUnit::NANOS => 9,
    }
}

/// A cell whose value can be written as text.
pub(super) trait Cell {
    /// Length of the cell in bytes, which a text of bytes has too. 0 for cells of a few bytes.
    fn len(&self) -> usize {
        0
    }

    /// Appends the text.
    fn append_to(&self, meaning: Meaning, out: &mut Vec<u8>) -> Result<(), CellFault>;
}

/// Appends text to a vector, which cannot fail.
macro_rules! append {
    ($out:expr, $($text:tt)*) => { _ = write!($out, $($text)*) };
}

impl Cell for bool {
    fn append_to(&self, _: Meaning, out: &mut Vec<u8>) -> Result<(), CellFault> {
        append!(out, "{self}");
        Ok(())
    }
}

impl Cell for i32 {
    fn append_to(&self, meaning: Meaning, out: &mut Vec<u8>) -> Result<(), CellFault> {
        if meaning == Meaning::Unsigned {
            append!(out, "{}", self.cast_unsigned());
            return Ok(());
        }
        Ok(append_integer(i128::from(*self), meaning, out)?)
    }
}

impl Cell for i64 {
    fn append_to(&self, meaning: Meaning, out: &mut Vec<u8>) -> Result<(), CellFault> {
        if meaning == Meaning::Unsigned {
            append!(out, "{}", self.cast_unsigned());
            return Ok(());
        }
        Ok(append_integer(i128::from(*self), meaning, out)?)
    }
}

impl Cell for f32 {
    fn append_to(&self, _: Meaning, out: &mut Vec<u8>) -> Result<(), CellFault> {
        append!(out, "{self:?}");
        Ok(())
    }
}

impl Cell for f64 {
    fn append_to(&self, _: Meaning, out: &mut Vec<u8>) -> Result<(), CellFault> {
        append!(out, "{self:?}");
        Ok(())
    }
}

/// Legacy timestamps: the nanoseconds of a day, low word first, and the Julian day.
impl Cell for Int96 {
    fn append_to(&self, _: Meaning, out: &mut Vec<u8>) -> Result<(), CellFault> {
        let &[low, high, day] = self.data() else {
            return Err(CellFault::Internal("a timestamp of old has three words"));
        };
        let nanos = i128::from(high) << 32 | i128::from(low);
        let day = i128::from(day.cast_signed()) - EPOCH_AS_JULIAN_DAY;
        let nanos = day * SECONDS_PER_DAY * NANOS_PER_SECOND + nanos;
        Ok(append_integer(nanos, Meaning::Timestamp { digits: 9, is_utc: false }, out)?)
    }
}

impl Cell for ByteArray {
    fn len(&self) -> usize {
        self.data().len()
    }

    fn append_to(&self, meaning: Meaning, out: &mut Vec<u8>) -> Result<(), CellFault> {
        Ok(append_bytes(self.data(), meaning, out)?)
    }
}

impl Cell for FixedLenByteArray {
    fn len(&self) -> usize {
        self.data().len()
    }

    fn append_to(&self, meaning: Meaning, out: &mut Vec<u8>) -> Result<(), CellFault> {
        Ok(append_bytes(self.data(), meaning, out)?)
    }
}

fn append_bytes(bytes: &[u8], meaning: Meaning, out: &mut Vec<u8>) -> Result<(), LineError> {
    match (meaning, bytes) {
        (Meaning::Decimal { .. }, _) => append_integer(integer_of(bytes)?, meaning, out)?,
        (Meaning::Uuid, &[a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]) => {
            let part =
                |bytes: &[u8]| bytes.iter().fold(0, |part, &byte| part << 8 | u64::from(byte));
            let [first, second, third] = [part(&[a, b, c, d]), part(&[e, f]), part(&[g, h])];
            let [fourth, fifth] = [part(&[i, j]), part(&[k, l, m, n, o, p])];
            append!(out, "{first:08x}-{second:04x}-{third:04x}-{fourth:04x}-{fifth:012x}");
        }
        (Meaning::Float16, &[low, high]) => {
            append!(out, "{:?}", widened(u16::from_be_bytes([high, low])));
        }
        _ => out.extend_from_slice(bytes),
    }
    Ok(())
}

/// Parses a big-endian signed integer of any length.
fn integer_of(bytes: &[u8]) -> Result<i128, LineError> {
    let is_negative = bytes.first().is_some_and(|byte| *byte >= 0x80);
    let mut integer: i128 = if is_negative { -1 } else { 0 };
    for &byte in bytes {
        let longer = integer.checked_mul(256).ok_or(LineError::DecimalTooLarge)?;
        integer = longer | i128::from(byte);
    }
    Ok(integer)
}

fn append_integer(integer: i128, meaning: Meaning, out: &mut Vec<u8>) -> Result<(), LineError> {
    match meaning {
        Meaning::Decimal { scale } => match usize::try_from(scale) {
            Ok(0) => append!(out, "{integer}"),
            Ok(scale) if scale <= MAX_DECIMAL_DIGITS => {
                let sign = if integer < 0 { "-" } else { "" };
                let digits = format!("{:0width$}", integer.unsigned_abs(), width = scale + 1);
                // There are more digits than `scale`, since the number was padded with zeros.
                let (whole, fraction) = digits.split_at(digits.len() - scale);
                append!(out, "{sign}{whole}.{fraction}");
            }
            // A file may state any scale, and as many digits would be written.
            _ => return Err(LineError::DecimalTooLarge),
        },
        Meaning::Date => append_date(integer, out),
        Meaning::Time { digits } => append_time(integer, digits, out),
        Meaning::Timestamp { digits, is_utc } => {
            let day = SECONDS_PER_DAY * units_per_second(digits);
            append_date(integer.div_euclid(day), out);
            out.push(b'T');
            append_time(integer.rem_euclid(day), digits, out);
            out.extend_from_slice(if is_utc { b"Z" } else { b"" });
        }
        _ => append!(out, "{integer}"),
    }
    Ok(())
}

fn units_per_second(digits: usize) -> i128 {
    (0..digits).fold(1, |units, _| units * 10)
}

fn append_time(units: i128, digits: usize, out: &mut Vec<u8>) {
    let (seconds, fraction) = (units / units_per_second(digits), units % units_per_second(digits));
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    append!(out, "{hours:02}:{minutes:02}:{seconds:02}.{fraction:0digits$}");
}

/// Appends the Gregorian date that is `days` days after 1970-01-01.
fn append_date(days: i128, out: &mut Vec<u8>) {
    // Count years from March to February, so that a leap day is the last day of a year, and cycles
    // of 400 years from 0000-03-01.
    let days = days + 719_468;
    let (cycle, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // From March on, every five months have 31, 30, 31, 30 and 31 days: 153 in all.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, years) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = cycle * 400 + year + years;
    match year {
        0..=9999 => append!(out, "{year:04}-{month:02}-{day:02}"),
        _ => append!(out, "{year:+05}-{month:02}-{day:02}"),
    }
}

/// Converts a half-precision float: a sign bit, five bits of exponent, ten of fraction.
fn widened(bits: u16) -> f32 {
    let sign = if bits >> 15 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2_f32.powi(-24),
        0x1f if fraction == 0.0 => f32::INFINITY,
        0x1f => f32::NAN,
        _ => (1024.0 + fraction) * 2_f32.powi(exponent - 25),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cell: &impl Cell, meaning: Meaning, expected: &str) {
        let mut text = Vec::new();
        cell.append_to(meaning, &mut text).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn numbers_are_as_csv_and_json_have_them() {
        check(&true, Meaning::Plain, "true");
        check(&-7_i32, Meaning::Plain, "-7");
        check(&-1_i32, Meaning::Unsigned, "4294967295");
        check(&-1_i64, Meaning::Unsigned, "18446744073709551615");
        check(&1.0_f64, Meaning::Plain, "1.0");
        check(&1e300_f64, Meaning::Plain, "1e300");
        check(&0.1_f32, Meaning::Plain, "0.1");
        for (bits, text) in
            [(0x3c00_u16, "1.0"), (0xc000, "-2.0"), (0x7bff, "65504.0"), (1, "5.9604645e-8")]
        {
            let [high, low] = bits.to_be_bytes();
            check(&FixedLenByteArray::from(vec![low, high]), Meaning::Float16, text);
        }
    }

    #[test]
    fn decimals_have_all_digits_of_their_scale() {
        let scale = |scale| Meaning::Decimal { scale };
        check(&1250_i32, scale(2), "12.50");
        check(&-5_i64, scale(3), "-0.005");
        check(&12_i64, scale(0), "12");
        check(&ByteArray::from(vec![0xff, 0x38]), scale(2), "-2.00");
        check(&ByteArray::from(vec![0; 40]), scale(1), "0.0");
        check(
            &ByteArray::from([&[0xff; 24][..], &[0x80; 15]].concat()),
            scale(0),
            "-662007668488958101406994104531779456",
        );
        let mut text = Vec::new();
        for (bytes, scale) in [(17, scale(0)), (1, scale(39)), (1, scale(70_000))] {
            let result = ByteArray::from(vec![1; bytes]).append_to(scale, &mut text);
            assert!(
                matches!(result, Err(CellFault::Line(LineError::DecimalTooLarge))),
                "{bytes}, {scale:?}"
            );
        }
    }

    #[test]
    fn days_and_times_are_as_the_calendar_has_them() {
        for (days, text) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (47_540, "2100-02-28"),
            (47_541, "2100-03-01"),
            (20_782, "2026-11-25"),
            (-719_528, "0000-01-01"),
            (-719_529, "-0001-12-31"),
            (2_932_897, "+10000-01-01"),
        ] {
            check(&days, Meaning::Date, text);
        }
        check(&27_000_000_i32, Meaning::Time { digits: 3 }, "07:30:00.000");
        let utc = Meaning::Timestamp { digits: 6, is_utc: true };
        check(&-1_i64, utc, "1969-12-31T23:59:59.999999Z");
        check(&i64::MAX, utc, "+294247-01-10T04:00:54.775807Z");
        let mut old = Int96::new();
        old.set_data(1, 0, 2_440_589);
        check(&old, Meaning::Plain, "1970-01-02T00:00:00.000000001");
    }

    #[test]
    fn bytes_are_bytes_and_uuids_are_not() {
        check(&ByteArray::from("text"), Meaning::Plain, "text");
        let bytes: Vec<u8> = (0..16).collect();
        let uuid = FixedLenByteArray::from(bytes);
        check(&uuid, Meaning::Uuid, "00010203-0405-0607-0809-0a0b0c0d0e0f");
    }
}
