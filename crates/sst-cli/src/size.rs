//! Sizes, numbers, shares and times, as people write them on the command line.
//!
//! Each kind of option has one unit: a size counts bytes, a number counts things, a share is a
//! fraction of 1, a time counts seconds. A unit behind the number multiplies it:
//!
//! - size: `4096`, `10k`, `64MiB`, `1G`, `1.5 GiB`, `100MB`. k, M, G, T and KiB to TiB are powers
//!   of 1024, kB to TB powers of 1000, as in `dd` and `du`.
//! - number: `1000`, `10k`, `9.4M`, `34,924`, in powers of 1000.
//! - share: `0.01`, `1%`.
//! - time: `90`, `90s`, `15m`, `2h`, `7d`.

use std::time::Duration;

/// A number with a unit, before the unit is applied: `15` tenths and `gib`.
struct Written {
    /// The digits without the point.
    digits: u128,
    /// 10 to the power of the number of digits behind the point.
    scale: u128,
    /// The unit, in lower case.
    unit: String,
}

impl Written {
    /// Splits a text into number and unit. Commas and underscores may group digits.
    fn parse(text: &str) -> Option<Self> {
        let is_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '_');
        let end = text.find(|c| !is_number(c)).unwrap_or(text.len());
        let (number, unit) = text.split_at_checked(end)?;
        let number = number.replace([',', '_'], "");
        let (whole, fraction) = number.split_once('.').unwrap_or((&number, ""));
        // More digits than a fraction of a byte needs would overflow below.
        if whole.is_empty() || fraction.len() > 12 || number.ends_with('.') {
            return None;
        }
        let digits = format!("{whole}{fraction}").parse().ok()?;
        let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        Some(Self { digits, scale, unit: unit.trim_start().to_ascii_lowercase() })
    }

    /// The number in units of `unit`, rounded down. `None` beyond `u64`.
    fn times(&self, unit: u64) -> Option<u64> {
        let scaled = self.digits.checked_mul(u128::from(unit))? / self.scale;
        u64::try_from(scaled).ok()
    }
}

/// A size in bytes.
pub(crate) fn bytes(text: &str) -> Result<u64, &'static str> {
    const EXPECTED: &str = "expected a size, such as 4096, 10k, 64MiB or 1G";
    let written = Written::parse(text).ok_or(EXPECTED)?;
    let unit = match written.unit.as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(EXPECTED),
    };
    written.times(unit).ok_or("a size is less than 16 EiB")
}

/// A size of at least one byte.
pub(crate) fn bytes_from_one(text: &str) -> Result<u64, &'static str> {
    match bytes(text)? {
        0 => Err("expected at least 1 byte"),
        bytes => Ok(bytes),
    }
}

/// A size in bytes of something that is held in memory whole.
pub(crate) fn bytes_in_memory(text: &str) -> Result<usize, &'static str> {
    usize::try_from(bytes(text)?).map_err(|_| "more than this machine can address")
}

/// The length of a value in bytes.
pub(crate) fn value_len(text: &str) -> Result<usize, &'static str> {
    match u32::try_from(bytes(text)?).map(usize::try_from) {
        Ok(Ok(len)) => Ok(len),
        _ => Err("a value has less than 4 GiB"),
    }
}

/// The lowest budget of memory.
const MIN_BUDGET: usize = 1 << 20;

/// A budget of memory in bytes. A number without a unit counts MiB: earlier
/// releases knew no units, and no load runs in a few bytes.
pub(crate) fn memory_budget(text: &str) -> Result<usize, &'static str> {
    let has_unit = text.bytes().any(|byte| byte.is_ascii_alphabetic());
    let budget =
        if has_unit { bytes_in_memory(text) } else { bytes_in_memory(&format!("{text}MiB")) };
    match budget? {
        budget if budget < MIN_BUDGET => Err("less than 1 MiB"),
        budget => Ok(budget),
    }
}

/// A number of things.
pub(crate) fn count(text: &str) -> Result<u64, &'static str> {
    const EXPECTED: &str = "expected a number, such as 1000, 10k or 9.4M";
    let written = Written::parse(text).ok_or(EXPECTED)?;
    let unit = match written.unit.as_str() {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "g" => 1_000_000_000,
        _ => return Err(EXPECTED),
    };
    if unit == 1 && written.scale > 1 {
        return Err(EXPECTED);
    }
    written.times(unit).ok_or("a number is less than 2^64")
}

/// A number of things of which there is at least one.
pub(crate) fn count_from_one(text: &str) -> Result<u64, &'static str> {
    match count(text)? {
        0 => Err("expected at least 1"),
        count => Ok(count),
    }
}

/// A share between 0 and 1.
pub(crate) fn share(text: &str) -> Result<f64, &'static str> {
    let share = match text.strip_suffix('%') {
        Some(percent) => percent.trim_end().parse::<f64>().map(|percent| percent / 100.0),
        None => text.parse(),
    };
    match share {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("expected a share between 0 and 1, such as 0.01 or 1%"),
    }
}

/// A length of time.
pub(crate) fn time(text: &str) -> Result<Duration, &'static str> {
    const EXPECTED: &str = "expected a time, such as 90 (seconds), 15m, 2h or 7d";
    let written = Written::parse(text).ok_or(EXPECTED)?;
    let seconds = match written.unit.as_str() {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(EXPECTED),
    };
    // In milliseconds, so that half a second is not nothing.
    let millis = written.times(seconds * 1_000).ok_or("longer than time has been")?;
    Ok(Duration::from_millis(millis))
}

/// A length of time that is waited again and again.
pub(crate) fn pause(text: &str) -> Result<Duration, &'static str> {
    match time(text)? {
        Duration::ZERO => Err("expected a millisecond at least"),
        time => Ok(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, size) in [
            ("0", 0),
            ("100000", 100_000),
            ("100,000", 100_000),
            ("100_000 B", 100_000),
            ("10k", 10_240),
            ("10K", 10_240),
            ("64MiB", 64 << 20),
            ("64 MiB", 64 << 20),
            ("1G", 1 << 30),
            ("1.5GiB", 3 << 29),
            ("1.04 MiB", 1_090_519),
            ("100MB", 100_000_000),
            ("2TB", 2_000_000_000_000),
            ("15t", 15 << 40),
        ] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for text in ["", "MiB", "-1", "1.", ".5k", "1x", "1 k k", "0x10", "99999999999999999999T"] {
            assert!(bytes(text).is_err(), "{text}");
        }
        assert_eq!(pause("0.5s"), Ok(Duration::from_millis(500)));
        assert!(pause("0").is_err() && pause("0.0001").is_err() && bytes_from_one("0").is_err());
        assert_eq!(value_len("3 GiB"), Ok(3 << 30));
        assert!(value_len("4GiB").is_err());
        assert_eq!(memory_budget("1MiB"), Ok(1 << 20));
        assert_eq!(memory_budget("256"), Ok(256 << 20));
        assert!(memory_budget("0").is_err() && memory_budget("64k").is_err());
    }

    #[test]
    fn numbers_count_in_thousands() {
        for (text, number) in [
            ("1000", 1_000),
            ("10k", 10_000),
            ("9.4M", 9_400_000),
            ("34,924", 34_924),
            ("1g", 1_000_000_000),
        ] {
            assert_eq!(count(text), Ok(number), "{text}");
        }
        for text in ["", "1.5", "10KiB", "-3", "many"] {
            assert!(count(text).is_err(), "{text}");
        }
        assert!(count_from_one("0").is_err());
    }

    #[test]
    fn shares_and_times_have_units_too() {
        assert_eq!(share("0.01"), Ok(0.01));
        assert_eq!(share("1%"), Ok(0.01));
        assert_eq!(share("100 %"), Ok(1.0));
        for text in ["", "%", "101%", "-1%", "2", "NaN"] {
            assert!(share(text).is_err(), "{text}");
        }
        for (text, seconds) in [
            ("0", 0.0),
            ("90", 90.0),
            ("1.5s", 1.5),
            ("15m", 900.0),
            ("2h", 7200.0),
            ("7d", 604_800.0),
        ] {
            assert_eq!(time(text).map(|time| time.as_secs_f64()), Ok(seconds), "{text}");
        }
        for text in ["", "m", "1w", "-1"] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}
