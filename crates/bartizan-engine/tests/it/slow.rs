//! What takes its time.

use crate::splice::play_all;

#[test]
fn what_is_sent_arrives_in_ten_thousand_scenarios() {
    play_all(0..10_000);
}
