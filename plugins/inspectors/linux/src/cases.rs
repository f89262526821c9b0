//! Runs the cases in `cases/`.

use cofferdam_sdk::Inspector;
use cofferdam_sdk::testing::run_inspector_cases;

use crate::Linux;

#[test]
fn every_case() {
    run_inspector_cases(env!("CARGO_MANIFEST_DIR"), Linux::inspect);
}
