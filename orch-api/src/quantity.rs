//! Resource quantities with the exact semantics of `apimachinery/pkg/api/resource`: fixed point, three
//! notations, one canonical form.

use serde_json::Value;
use std::{borrow::Cow, cmp::Ordering, fmt, str::FromStr};

/// A fixed-point number with the notation that it was written in. Cheap to copy.
///
/// Numbers finer than a billionth are rounded away from zero, binary ones are capped at 2^63-1, as upstream.
/// Comparison is by value: `1` equals `1000m`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quantity {
    /// The value is `mantissa * 10^exponent`.
    mantissa: i128,
    exponent: i32,
    format: Format,
}

/// The three notations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `12M` is 12 * 10^6.
    #[default]
    DecimalSi,
    /// `12Mi` is 12 * 2^20.
    BinarySi,
    /// `12e6` is 12 * 10^6.
    DecimalExponent,
}

/// Why a text is no quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// The text does not look like a quantity.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// The number is malformed or has more than 38 digits.
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    /// No such suffix.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

impl Quantity {
    /// Zero.
    pub const ZERO: Self = Self { mantissa: 0, exponent: 0, format: Format::DecimalSi };

    /// A whole number.
    pub const fn new(value: i64, format: Format) -> Self {
        Self { mantissa: value as i128, exponent: 0, format }
    }

    /// Thousandths, as CPU is counted.
    pub const fn from_millis(value: i64) -> Self {
        Self { mantissa: value as i128, exponent: -3, format: Format::DecimalSi }
    }

    /// The same value, printed in another notation.
    #[must_use]
    pub const fn printed_as(self, format: Format) -> Self {
        Self { format, ..self }
    }

    /// Reads a quantity in any of the notations.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let parts = Parts::split(text)?;
        let (base, power, format) = suffix(parts.suffix).ok_or(QuantityError::Suffix)?;
        let mantissa = parts.mantissa().ok_or(QuantityError::Numeric)?;
        let exponent = -i32::try_from(parts.fraction.len()).map_err(|_| QuantityError::Numeric)?;
        let magnitude = match base {
            Base::Two => Self { mantissa, exponent, format }.shifted(power),
            Base::Ten => Self { mantissa, exponent: exponent.saturating_add(power), format },
        };
        let magnitude = magnitude.rounded_to(-9).capped();
        Ok(if parts.negative { magnitude.negated() } else { magnitude })
    }

    /// The quantity in a JSON text or number; `None` where there is none.
    pub fn of(json: &Value) -> Option<Self> {
        match json {
            Value::String(text) => Self::parse(text).ok(),
            Value::Number(number) => Self::parse(&number.to_string()).ok(),
            _ => None,
        }
    }

    /// The notation it will be printed in.
    pub fn format(self) -> Format {
        self.format
    }

    /// Whether the value is zero.
    pub fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// Whether the value is below zero.
    pub fn is_negative(self) -> bool {
        self.mantissa < 0
    }

    /// Whether the value is above zero.
    pub fn is_positive(self) -> bool {
        self.mantissa > 0
    }

    /// Whether the value is a whole number.
    pub fn is_whole(self) -> bool {
        self.trimmed().exponent >= 0
    }

    /// Whether the value is a whole multiple of another; false for multiples of zero.
    pub fn is_multiple_of(self, other: Self) -> bool {
        let (a, b, _) = aligned(self, other);
        b != 0 && a % b == 0
    }

    /// The value, rounded away from zero to a whole number; saturates at the ends of `i64`.
    pub fn value(self) -> i64 {
        self.scaled(0)
    }

    /// Thousandths of the value, rounded away from zero; saturates at the ends of `i64`.
    pub fn millis(self) -> i64 {
        self.scaled(-3)
    }

    /// The value divided by `10^scale`, rounded away from zero; saturates at the ends of `i64`.
    pub fn scaled(self, scale: i32) -> i64 {
        let rounded = self.rounded_to(scale);
        let shift = u32::try_from(i64::from(rounded.exponent) - i64::from(scale)).unwrap_or_default();
        let scaled = match rounded.mantissa {
            0 => 0,
            m => 10_i128.checked_pow(shift).map_or(m.signum() * i128::MAX, |ten| m.saturating_mul(ten)),
        };
        i64::try_from(scaled).unwrap_or(if scaled < 0 { i64::MIN } else { i64::MAX })
    }

    /// The value as floating point, which may be inexact.
    pub fn as_f64(self) -> f64 {
        self.mantissa as f64 * 10_f64.powi(self.exponent)
    }

    /// The sum, in this one's notation or, when this one is zero, in the other's.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let format = if self.is_zero() { other.format } else { self.format };
        let (a, b, exponent) = aligned(self, other);
        Self { mantissa: a.saturating_add(b), exponent, format }.trimmed()
    }

    /// The difference, in this one's notation or, when this one is zero, in the other's.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        self.plus(other.negated())
    }

    /// The value times a whole number.
    #[must_use]
    pub fn times(self, factor: i64) -> Self {
        Self { mantissa: self.mantissa.saturating_mul(i128::from(factor)), ..self }
    }

    /// The value with the opposite sign.
    #[must_use]
    pub fn negated(self) -> Self {
        Self { mantissa: self.mantissa.saturating_neg(), ..self }
    }

    /// `self * 2^power`
    fn shifted(self, power: i32) -> Self {
        let factor = 1_i128 << power.clamp(0, 60);
        Self { mantissa: self.mantissa.saturating_mul(factor), ..self }
    }

    /// Rounds away from zero so that the exponent is at least `exponent`.
    fn rounded_to(self, exponent: i32) -> Self {
        if self.exponent >= exponent {
            return self;
        }
        let drop = exponent.abs_diff(self.exponent);
        let rounded = match 10_i128.checked_pow(drop) {
            None => self.mantissa.signum(),
            Some(ten) => self.mantissa / ten + if self.mantissa % ten == 0 { 0 } else { self.mantissa.signum() },
        };
        Self { mantissa: rounded, exponent, ..self }
    }

    fn capped(self) -> Self {
        let max = Self::new(i64::MAX, Format::BinarySi);
        if self.format == Format::BinarySi && self > max { max } else { self }
    }

    /// No factor of ten is left in the mantissa.
    fn trimmed(mut self) -> Self {
        if self.mantissa == 0 {
            return Self { exponent: 0, ..self };
        }
        while self.mantissa % 10 == 0 {
            self.mantissa /= 10;
            self.exponent += 1;
        }
        self
    }

    /// The value, where it is whole and fits.
    fn whole(self) -> Option<i128> {
        let this = self.trimmed();
        let ten = 10_i128.checked_pow(u32::try_from(this.exponent).ok()?)?;
        this.mantissa.checked_mul(ten)
    }

    fn fmt_binary(self, f: &mut fmt::Formatter<'_>) -> Option<fmt::Result> {
        let mut number = self.whole().filter(|n| n.unsigned_abs() >= 1024)?;
        let mut power = 0;
        while number % 1024 == 0 && power + 1 < BINARY.len() {
            number /= 1024;
            power += 1;
        }
        Some(write!(f, "{number}{}", BINARY.get(power).copied().unwrap_or_default()))
    }

    fn fmt_decimal(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let this = self.trimmed();
        // The exponent becomes a multiple of three, and for suffixes no larger than that of the last one.
        let mut exponent = this.exponent - this.exponent.rem_euclid(3);
        if self.format != Format::DecimalExponent {
            exponent = exponent.min(18);
        }
        let zeros = usize::try_from(this.exponent - exponent).unwrap_or_default();
        write!(f, "{}{:0<zeros$}", this.mantissa, "")?;
        match (self.format, exponent) {
            (_, 0) => Ok(()),
            (Format::DecimalExponent, exponent) => write!(f, "e{exponent}"),
            (_, exponent) => {
                let found = DECIMAL.iter().find(|(_, power)| *power == exponent);
                f.write_str(found.map_or("", |(name, _)| name))
            }
        }
    }
}

/// The canonical form of a text, which is the text itself where upstream's fast path keeps it as written.
pub fn canonical(text: &str) -> Result<Cow<'_, str>, QuantityError> {
    let quantity = Quantity::parse(text)?;
    if keeps_its_text(text, quantity.format) {
        return Ok(Cow::Borrowed(text));
    }
    let form = quantity.to_string();
    Ok(if form == text { Cow::Borrowed(text) } else { Cow::Owned(form) })
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0");
        }
        match self.format {
            Format::BinarySi => self.fmt_binary(f).unwrap_or_else(|| self.fmt_decimal(f)),
            _ => self.fmt_decimal(f),
        }
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        Self::parse(text)
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b, _) = aligned(*self, *other);
        a.cmp(&b)
    }
}

/// Both mantissas at the smaller of the two exponents; saturates.
fn aligned(a: Quantity, b: Quantity) -> (i128, i128, i32) {
    let (a, b) = (a.trimmed(), b.trimmed());
    let exponent = match (a.mantissa, b.mantissa) {
        (0, _) => b.exponent,
        (_, 0) => a.exponent,
        _ => a.exponent.min(b.exponent),
    };
    let at = |q: Quantity| {
        let shift = u32::try_from(i64::from(q.exponent) - i64::from(exponent)).unwrap_or_default();
        match q.mantissa {
            0 => 0,
            m => 10_i128.checked_pow(shift).map_or(m.signum() * i128::MAX, |ten| m.saturating_mul(ten)),
        }
    };
    (at(a), at(b), exponent)
}

const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

enum Base {
    Two,
    Ten,
}

fn suffix(text: &str) -> Option<(Base, i32, Format)> {
    if let Some((_, power)) = DECIMAL.iter().find(|(name, _)| *name == text) {
        return Some((Base::Ten, *power, Format::DecimalSi));
    }
    if let Some(power) = BINARY.iter().position(|name| *name == text) {
        return Some((Base::Two, i32::try_from(power * 10).ok()?, Format::BinarySi));
    }
    let power = text.strip_prefix(['e', 'E'])?.parse().ok()?;
    Some((Base::Ten, power, Format::DecimalExponent))
}

/// A text taken apart: sign, digits before and behind the point, suffix.
struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    suffix: &'a str,
}

impl<'a> Parts<'a> {
    fn split(text: &'a str) -> Result<Self, QuantityError> {
        if text.is_empty() {
            return Err(QuantityError::Format);
        }
        let negative = text.starts_with('-');
        let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (whole, rest) = split_digits(rest);
        let (fraction, suffix) = rest.strip_prefix('.').map_or(("", rest), split_digits);
        let letters = suffix.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
        let power = letters.strip_prefix(['-', '+']).unwrap_or(letters);
        if !power.bytes().all(|c| c.is_ascii_digit()) {
            return Err(QuantityError::Format);
        }
        let whole = match whole.trim_start_matches('0') {
            "" => "0",
            digits => digits,
        };
        Ok(Self { negative, whole, fraction, suffix })
    }

    /// All digits as one number.
    fn mantissa(&self) -> Option<i128> {
        let whole: i128 = self.whole.parse().ok()?;
        let fraction: i128 = if self.fraction.is_empty() { 0 } else { self.fraction.parse().ok()? };
        let shift = 10_i128.checked_pow(u32::try_from(self.fraction.len()).ok()?)?;
        whole.checked_mul(shift)?.checked_add(fraction)
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().position(|c| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// Upstream prints a parsed quantity as it was written when a quick look says that it is canonical. The look is
/// not exact (`1.500` and `+5` stay), and clients see its result.
fn keeps_its_text(text: &str, format: Format) -> bool {
    let Ok(parts) = Parts::split(text) else { return false };
    let Some((_, power, _)) = suffix(parts.suffix) else { return false };
    let length = parts.whole.len() + parts.fraction.len();
    let places = i32::try_from(parts.fraction.len()).unwrap_or(i32::MAX);
    match format {
        Format::BinarySi => {
            let room = 14 - power * 3 / 10;
            let odd = parts.mantissa().is_some_and(|mantissa| mantissa & 7 != 0);
            power >= 0 && places == 0 && usize::try_from(room).is_ok_and(|room| length <= room) && odd
        }
        _ => {
            let scale = power.saturating_sub(places);
            let mut last = parts.whole.bytes().chain(parts.fraction.bytes()).rev().take(3);
            let thousands = length >= 3 && last.all(|c| c == b'0');
            length <= 18 && scale >= -9 && scale % 3 == 0 && !thousands && !parts.whole.starts_with('0')
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, canonical_form: &str) {
        assert_eq!(canonical(text).as_deref(), Ok(canonical_form), "{text}");
    }

    #[test]
    fn quantities_print_in_canonical_form() {
        for (text, form) in [
            ("0", "0"),
            ("0Mi", "0"),
            ("1", "1"),
            ("1000", "1k"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("1.5", "1500m"),
            ("0.5", "500m"),
            (".5", "500m"),
            ("1.", "1."),
            ("1024", "1024"),
            ("1024Ki", "1Mi"),
            ("1536Mi", "1536Mi"),
            ("1.5Gi", "1536Mi"),
            ("0.5Ki", "512"),
            ("512Ki", "512Ki"),
            ("1Gi", "1Gi"),
            ("1048576Ki", "1Gi"),
            ("1e3", "1e3"),
            ("100e3", "100e3"),
            ("1000e3", "1e6"),
            ("12E", "12E"),
            ("0.1n", "1n"),
            ("-0.1n", "-1n"),
            ("1u", "1u"),
            ("123456789", "123456789"),
            ("-1.5Gi", "-1536Mi"),
            ("100Ei", "9223372036854775807"),
            ("+5", "+5"),
            ("1.500", "1.500"),
        ] {
            check(text, form);
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused_in_upstreams_words() {
        assert_eq!(Quantity::parse(""), Err(QuantityError::Format));
        assert_eq!(Quantity::parse("5 Gi"), Err(QuantityError::Format));
        assert_eq!(Quantity::parse("abc"), Err(QuantityError::Format));
        assert_eq!(Quantity::parse("5KiB"), Err(QuantityError::Format));
        assert_eq!(Quantity::parse("5K"), Err(QuantityError::Suffix));
        assert_eq!(Quantity::parse("1.2.3"), Err(QuantityError::Format));
    }

    #[test]
    fn comparison_and_arithmetic_are_by_value() {
        let q = |text: &str| Quantity::parse(text).unwrap();
        assert_eq!(q("1"), q("1000m"));
        assert!(q("1Ki") > q("1k"));
        assert!(q("1e30") > q("100Ei"));
        assert!(q("-1") < q("0"));
        assert_eq!(q("1Gi").plus(q("512Mi")).to_string(), "1536Mi");
        assert_eq!(q("250m").plus(q("750m")).to_string(), "1");
        assert_eq!(q("0").plus(q("1Gi")).to_string(), "1Gi");
        assert_eq!(q("1").minus(q("1500m")).to_string(), "-500m");
        assert_eq!(q("100m").times(30).to_string(), "3");
    }

    #[test]
    fn values_round_away_from_zero() {
        let q = |text: &str| Quantity::parse(text).unwrap();
        assert_eq!((q("1500m").value(), q("1500m").millis()), (2, 1500));
        assert_eq!(q("-1500m").value(), -2);
        assert_eq!(q("100u").millis(), 1);
        assert_eq!(q("1Gi").value(), 1 << 30);
        assert_eq!(q("1e30").value(), i64::MAX);
    }
}
