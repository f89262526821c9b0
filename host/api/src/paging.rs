//! Pages of lists: `limit` and an opaque `cursor`.
//!
//! A cursor names the last item of a page, not a number of items, so that items that
//! are added meanwhile neither repeat nor hide others.

use crate::problem::Problem;
use cofferdam_store::PageRequest;

/// How many items a page has if nothing else is asked for.
const USUAL: u32 = 100;
/// How many items a page may have.
const MOST: u32 = 1000;

/// What the store is asked for.
pub fn page_request(limit: Option<u32>, cursor: Option<String>) -> Result<PageRequest, Problem> {
    let limit = limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::bad_request(format!("limit must be 1 to {MOST}")));
    }
    Ok(PageRequest { limit, cursor })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_checked() {
        for (limit, taken) in [
            (None, Some(100)),
            (Some(0), None),
            (Some(1), Some(1)),
            (Some(1000), Some(1000)),
            (Some(1001), None),
        ] {
            let request = page_request(limit, None);
            assert_eq!(
                request.ok().map(|request| request.limit),
                taken,
                "{limit:?}"
            );
        }
    }
}
