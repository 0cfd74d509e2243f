//! [`Amount`]: a resource quantity as a number that can be compared and added.

use serde_json::Value;

/// A quantity in billionths: exact for every quantity that Kubernetes stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Amount(i128);

const NANO: i128 = 1_000_000_000;

impl Amount {
    /// The quantity in a JSON text or number.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::parse(text),
            Value::Number(number) => Self::parse(&number.to_string()),
            _ => None,
        }
    }

    /// Parses `1`, `0.5`, `100m`, `1Gi`, `2e3`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (digits, suffix) = text.split_at_checked(end)?;
        let (factor, exponent) = match suffix {
            "n" => (1, 0),
            "u" => (1_000, 0),
            "m" => (1_000_000, 0),
            "" => (NANO, 0),
            "k" => (NANO, 3),
            "M" => (NANO, 6),
            "G" => (NANO, 9),
            "T" => (NANO, 12),
            "P" => (NANO, 15),
            "E" => (NANO, 18),
            "Ki" => (NANO << 10, 0),
            "Mi" => (NANO << 20, 0),
            "Gi" => (NANO << 30, 0),
            "Ti" => (NANO << 40, 0),
            "Pi" => (NANO << 50, 0),
            "Ei" => (NANO << 60, 0),
            other => (NANO, other.strip_prefix(['e', 'E'])?.parse::<i32>().ok()?),
        };
        let (negative, digits) = match digits.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, digits.strip_prefix('+').unwrap_or(digits)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if (whole.is_empty() && fraction.is_empty())
            || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit())
        {
            return None;
        }
        let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
        let exponent = exponent - i32::try_from(fraction.len()).ok()?;
        let scaled = mantissa.checked_mul(factor)?;
        let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
        let amount = if exponent < 0 { scaled.div_euclid(power) } else { scaled.checked_mul(power)? };
        Some(Self(if negative { -amount } else { amount }))
    }

    /// Billionths.
    pub(crate) fn nanos(self) -> i128 {
        self.0
    }

    /// Whether the amount is a whole number.
    pub(crate) fn is_whole(self) -> bool {
        self.0 % NANO == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_compare_across_their_notations() {
        for (a, b) in [("1", "1000m"), ("1Ki", "1024"), ("0.5", "500m"), ("2e3", "2k"), ("1.5Gi", "1536Mi")] {
            assert_eq!(Amount::parse(a), Amount::parse(b), "{a} {b}");
        }
        assert!(Amount::parse("-1") < Amount::parse("0"));
        assert_eq!(Amount::parse("1.2.3"), None);
        assert_eq!(Amount::parse("five"), None);
    }
}
