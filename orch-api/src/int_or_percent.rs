//! Numbers that may be given as a percentage (`apimachinery/pkg/util/intstr`).

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Which way a percentage of a total rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// To the next larger whole number, as `maxSurge` does.
    Up,
    /// To the next smaller whole number, as `maxUnavailable` does.
    Down,
}

/// A text that is no percentage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntOrPercentError {
    /// There is no percent sign.
    #[error("invalid value for IntOrString: invalid type: string is not a percentage")]
    NoPercent,
    /// What stands before the percent sign is no number.
    #[error("invalid value for IntOrString: invalid value {0:?}: strconv.Atoi: parsing {1:?}: invalid syntax")]
    NoNumber(String, String),
}

/// The number itself, or the percentage of the total.
pub fn scaled(value: &IntOrString, total: i32, round: Round) -> Result<i32, IntOrPercentError> {
    let text = match value {
        IntOrString::Int(number) => return Ok(*number),
        IntOrString::String(text) => text,
    };
    let digits = text.strip_suffix('%').ok_or(IntOrPercentError::NoPercent)?;
    let no_number = |_| IntOrPercentError::NoNumber(text.clone(), digits.to_owned());
    let percent: i32 = digits.parse().map_err(no_number)?;
    let hundredths = i64::from(percent) * i64::from(total);
    let whole = match round {
        Round::Down => hundredths.div_euclid(100),
        Round::Up => -(-hundredths).div_euclid(100),
    };
    Ok(i32::try_from(whole).unwrap_or(if whole < 0 { i32::MIN } else { i32::MAX }))
}

/// The text of the value: what a port or a budget is printed as.
pub fn text(value: &IntOrString) -> String {
    match value {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(text) => text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, total: i32, up: i32, down: i32) {
        let value = IntOrString::String(text.into());
        assert_eq!((scaled(&value, total, Round::Up), scaled(&value, total, Round::Down)), (Ok(up), Ok(down)));
    }

    #[test]
    fn a_percentage_rounds_as_asked() {
        check("25%", 10, 3, 2);
        check("0%", 10, 0, 0);
        check("100%", 7, 7, 7);
        check("150%", 3, 5, 4);
        check("-25%", 10, -2, -3);
        assert_eq!(scaled(&IntOrString::Int(4), 10, Round::Up), Ok(4));
    }

    #[test]
    fn a_text_without_percent_is_refused() {
        assert_eq!(scaled(&IntOrString::String("4".into()), 1, Round::Up), Err(IntOrPercentError::NoPercent));
        assert_eq!(
            scaled(&IntOrString::String("a%".into()), 1, Round::Up).unwrap_err().to_string(),
            "invalid value for IntOrString: invalid value \"a%\": strconv.Atoi: parsing \"a\": invalid syntax"
        );
    }
}
