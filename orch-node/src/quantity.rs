//! Reading resource quantities where the agent computes with them.

/// A quantity in thousandths, rounded up; 0 when it is not a quantity (validation refuses those).
pub(crate) fn milli(text: &str) -> i128 {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (mantissa, scale) = (decimal(number), multiplier(suffix));
    match (mantissa, scale) {
        (Some((digits, places)), Some((numerator, denominator))) => {
            let denominator = denominator * 10_i128.pow(places);
            let value = digits * numerator * 1000;
            value.div_euclid(denominator) + i128::from(value.rem_euclid(denominator) != 0)
        }
        _ => 0,
    }
}

/// A quantity in whole units, rounded up.
pub(crate) fn units(text: &str) -> i64 {
    let milli = milli(text);
    i64::try_from(milli.div_euclid(1000) + i128::from(milli.rem_euclid(1000) != 0)).unwrap_or(i64::MAX)
}

/// Digits without the point, and how many of them stand behind it.
fn decimal(number: &str) -> Option<(i128, u32)> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let fraction = fraction.get(..fraction.len().min(12))?;
    let digits = format!("{whole}{fraction}").parse().ok()?;
    Some((digits, u32::try_from(fraction.len()).ok()?))
}

fn multiplier(suffix: &str) -> Option<(i128, i128)> {
    Some(match suffix {
        "" => (1, 1),
        "n" => (1, 1_000_000_000),
        "u" => (1, 1_000_000),
        "m" => (1, 1000),
        "k" => (1000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        exponent => {
            let power: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            let factor = 10_i128.checked_pow(power.unsigned_abs().min(18))?;
            if power < 0 { (1, factor) } else { (factor, 1) }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        for (text, expected) in [
            ("1", 1000),
            ("100m", 100),
            ("0.5", 500),
            ("1.5Gi", 1_610_612_736_000),
            ("2e3", 2_000_000),
            ("1n", 1),
            ("", 0),
            ("x", 0),
            ("64Mi", 67_108_864_000),
        ] {
            assert_eq!(milli(text), expected, "{text}");
        }
        assert_eq!(units("1500m"), 2);
    }
}
