//! Times and durations for people.

use cofferdam_store::Time;
use std::time::Duration;

/// A moment as people say it: how long ago or from now, with the date where it is far.
pub fn when(time: Time) -> String {
    relative(time, Time::now())
}

/// Like [`when`], or a dash.
pub fn when_any(time: Option<Time>) -> String {
    time.map_or_else(|| "-".to_owned(), when)
}

/// How long it took, or takes so far.
pub fn taken(from: Time, to: Option<Time>) -> String {
    short(to.unwrap_or_else(Time::now).since(from))
}

/// A duration in its two largest units.
pub fn short(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if seconds < 10 => format!("{:.1} s", duration.as_secs_f64()),
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

fn relative(time: Time, now: Time) -> String {
    const WEEK: u64 = 7 * 86_400_000;
    let apart = time.0.abs_diff(now.0);
    if apart >= WEEK {
        // The date alone: of what is far the minute does not matter.
        return time.to_string().chars().take(10).collect();
    }
    let seconds = Duration::from_secs(apart / 1000);
    match (apart < 1000, time > now) {
        (true, _) => "now".to_owned(),
        (false, true) => format!("in {}", coarse(seconds)),
        (false, false) => format!("{} ago", coarse(seconds)),
    }
}

fn coarse(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_said_as_people_say_them() {
        let now = Time(1_800_000_000_000);
        for (apart, expected) in [
            (0, "now"),
            (-500, "now"),
            (-1_000, "1 s ago"),
            (-61_000, "1 min ago"),
            (7_200_000, "in 2 h"),
            (-2 * 86_400_000, "2 d ago"),
            (-8 * 86_400_000, "2027-01-07"),
        ] {
            assert_eq!(relative(Time(now.0 + apart), now), expected, "{apart}");
        }
    }

    #[test]
    fn durations_have_two_units() {
        for (millis, expected) in [
            (40, "0.0 s"),
            (3_240, "3.2 s"),
            (59_900, "59 s"),
            (61_000, "1 min 1 s"),
            (3_600_000, "1 h 0 min"),
            (90_000_000, "1 d 1 h"),
        ] {
            assert_eq!(short(Duration::from_millis(millis)), expected);
        }
    }
}
