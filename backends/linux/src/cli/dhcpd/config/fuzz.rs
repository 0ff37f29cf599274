//! What the fuzz target does.

use std::path::Path;

use super::Config;
use super::problem::{Place, Problem, Severity};

/// Any bytes are read as a file, and those behind the first zero as one that it imports: that ends, with
/// a plan that a server can go by, or with errors that are in the file.
pub(crate) fn dhcp_config(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |&byte| byte == 0);
    let text = parts.next().unwrap_or_default();
    let imported = parts.next().unwrap_or_default();
    let files = |path: &Path| Ok(vec![(path.join("imported"), imported.to_vec())]);
    let path = Path::new("dhcpd.toml");
    let problems = match Config::parse(text, path, &files) {
        Ok((config, warnings)) => {
            assert_eq!(warnings.errors(), 0);
            check(&config);
            warnings
        }
        Err(problems) => {
            assert!(problems.errors() > 0);
            let severe = |problem: &Problem| problem.severity == Severity::Error;
            assert!(problems.iter().any(severe));
            problems
        }
    };
    assert!(problems.to_string().len() <= 1_000 * (1 + problems.iter().count()));
    let unprintable = |c: char| c.is_control() && c != '\n';
    assert!(!problems.to_string().contains(unprintable));
    for problem in problems.iter() {
        assert!(!problem.message().contains('\n'));
        let place = problem.place().expect("the file has a place for each");
        let source = if place.path == path { text } else { imported };
        assert!(is_in(place, source), "{problem}");
    }
}

/// Whether a place is in a file, or right behind its end.
fn is_in(place: &Place, source: &[u8]) -> bool {
    let text = String::from_utf8_lossy(source);
    let line = text.split('\n').nth(place.line - 1);
    line.is_some_and(|line| (1..=line.chars().count() + 1).contains(&place.column))
}

/// Whether a server can go by it.
fn check(config: &Config) {
    assert!(!config.interfaces.is_empty());
    let checked = config.with_plan(|plan| {
        assert!(!plan.subnets().is_empty());
        for subnet in plan.subnets() {
            assert!(
                subnet
                    .options
                    .iter()
                    .map(|it| it.code)
                    .is_sorted_by(|a, b| a < b)
            );
            let times = subnet.lease_times;
            assert!(times.min <= times.default && times.default <= times.max);
        }
    });
    assert_eq!(checked, Ok(()));
}
