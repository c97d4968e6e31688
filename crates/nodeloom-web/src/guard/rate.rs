//! How many requests an address and an API token may make: GCRA (the leaky bucket of
//! ITU-T I.371), per process. Failed sign-ins have a limit of their own, in the database.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher as _,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use governor::{
    NotUntil, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::{StateInformationMiddleware, StateSnapshot},
    state::keyed::DashMapStateStore,
};

use crate::settings::RateLimits;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Every so many requests the buckets that are full again are dropped.
const SWEEP_EVERY: u64 = 65_536;

type Buckets<K, C> = RateLimiter<K, DashMapStateStore<K>, C, StateInformationMiddleware>;

/// The buckets of both kinds; nothing where the limit is 0.
pub(crate) struct Rates<C: Clock = DefaultClock> {
    addresses: Option<Buckets<IpAddr, C>>,
    /// By a hash of the whole token under a key of this process: whoever knows a
    /// token's id alone cannot spend its requests.
    tokens: Option<Buckets<u64, C>>,
    hasher: RandomState,
    clock: C,
    seen: AtomicU64,
}

/// Where a caller stands: in requests, and in seconds until all of them are free again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    limit: u32,
    remaining: u32,
    reset_seconds: u64,
}

/// What the limit says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rate {
    /// No limit applies.
    Unlimited,
    /// Within the limits; the standing is the tighter one's.
    Within(Standing),
    /// Too many.
    Exceeded {
        standing: Standing,
        retry_after_seconds: u64,
    },
}

impl Rates {
    pub(crate) fn new(limits: RateLimits) -> Self {
        Self::with_clock(limits, DefaultClock::default())
    }
}

impl<C: Clock + Clone> Rates<C> {
    fn with_clock(limits: RateLimits, clock: C) -> Self {
        Self {
            addresses: quota(limits.per_address).map(|quota| buckets(quota, &clock)),
            tokens: quota(limits.per_token).map(|quota| buckets(quota, &clock)),
            hasher: RandomState::new(),
            clock,
            seen: AtomicU64::new(0),
        }
    }

    /// Counts a request of `client` with these headers. The token need not be a true
    /// one: this runs before anything is looked up.
    pub(crate) fn count(&self, client: Option<IpAddr>, headers: &HeaderMap) -> Rate {
        if self.seen.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.sweep();
        }
        let mut rate = Rate::Unlimited;
        if let (Some(buckets), Some(client)) = (&self.addresses, client) {
            rate = self.judge(buckets.check_key(&network(client)));
        }
        let token = headers
            .get(header::AUTHORIZATION)
            .filter(|value| value.as_bytes().len() > 7);
        if let (Some(buckets), Some(token)) = (&self.tokens, token)
            && !matches!(rate, Rate::Exceeded { .. })
        {
            let of_token = self.judge(buckets.check_key(&self.hasher.hash_one(token.as_bytes())));
            rate = tighter(rate, of_token);
        }
        rate
    }

    fn sweep(&self) {
        if let Some(buckets) = &self.addresses {
            buckets.retain_recent();
        }
        if let Some(buckets) = &self.tokens {
            buckets.retain_recent();
        }
    }

    fn judge(&self, result: Result<StateSnapshot, NotUntil<C::Instant>>) -> Rate {
        match result {
            Ok(snapshot) => {
                let remaining = snapshot.remaining_burst_capacity();
                Rate::Within(standing(snapshot.quota(), remaining))
            }
            Err(refused) => Rate::Exceeded {
                standing: standing(refused.quota(), 0),
                retry_after_seconds: rounded_up(refused.wait_time_from(self.clock.now())).max(1),
            },
        }
    }
}

fn tighter(one: Rate, other: Rate) -> Rate {
    match (one, other) {
        (Rate::Within(a), Rate::Within(b)) if a.remaining < b.remaining => one,
        (_, other) => other,
    }
}

fn quota(per_minute: u32) -> Option<Quota> {
    NonZeroU32::new(per_minute).map(Quota::per_minute)
}

fn buckets<K, C>(quota: Quota, clock: &C) -> Buckets<K, C>
where
    K: std::hash::Hash + Eq + Clone,
    C: Clock + Clone,
{
    RateLimiter::dashmap_with_clock(quota, clock.clone())
        .with_middleware::<StateInformationMiddleware>()
}

/// A home or a machine has a whole /64 of IPv6 addresses.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & (u128::MAX << 64);
            Ipv6Addr::from(network).into()
        }
        address => address,
    }
}

fn standing(quota: Quota, remaining: u32) -> Standing {
    let limit = quota.burst_size().get();
    let spent = limit.saturating_sub(remaining);
    Standing {
        limit,
        remaining,
        reset_seconds: rounded_up(quota.replenish_interval().saturating_mul(spent)),
    }
}

fn rounded_up(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

impl Rate {
    /// Writes `X-RateLimit-Limit` (requests a minute), `X-RateLimit-Remaining`
    /// (requests) and `X-RateLimit-Reset` (seconds until all are free again).
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        let (Self::Within(standing) | Self::Exceeded { standing, .. }) = self else {
            return;
        };
        headers.insert(LIMIT, HeaderValue::from(standing.limit));
        headers.insert(REMAINING, HeaderValue::from(standing.remaining));
        headers.insert(RESET, HeaderValue::from(standing.reset_seconds));
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn rates(per_address: u32, per_token: u32) -> (Rates<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let limits = RateLimits {
            per_address,
            per_token,
        };
        (Rates::with_clock(limits, clock.clone()), clock)
    }

    fn bearer(text: &str) -> HeaderMap {
        let value = HeaderValue::from_str(&format!("Bearer {text}")).unwrap();
        HeaderMap::from_iter([(header::AUTHORIZATION, value)])
    }

    fn is_within(rate: Rate) -> bool {
        matches!(rate, Rate::Within(_))
    }

    const ONE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));
    const OTHER: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)));

    #[test]
    fn an_address_gets_its_requests_back_with_time() {
        let (rates, clock) = rates(3, 0);
        let nothing = HeaderMap::new();
        for remaining in [2, 1, 0] {
            let Rate::Within(standing) = rates.count(ONE, &nothing) else {
                panic!("within the limit");
            };
            assert_eq!((standing.limit, standing.remaining), (3, remaining));
        }
        let Rate::Exceeded {
            standing,
            retry_after_seconds,
        } = rates.count(ONE, &nothing)
        else {
            panic!("over the limit");
        };
        assert_eq!((standing.remaining, retry_after_seconds), (0, 20));
        assert_eq!(standing.reset_seconds, 60);
        assert!(is_within(rates.count(OTHER, &nothing)), "its own bucket");
        clock.advance(Duration::from_secs(20));
        assert!(is_within(rates.count(ONE, &nothing)));
        assert!(!is_within(rates.count(ONE, &nothing)));
    }

    #[test]
    fn a_token_is_counted_wherever_it_comes_from() {
        let (rates, _) = rates(100, 2);
        let token = bearer("nlt_one");
        assert!(is_within(rates.count(ONE, &token)));
        let Rate::Within(standing) = rates.count(OTHER, &token) else {
            panic!("within the limit");
        };
        assert_eq!(standing.limit, 2, "the tighter one is told");
        assert!(!is_within(rates.count(ONE, &token)));
        assert!(is_within(rates.count(ONE, &bearer("nlt_two"))));
    }

    #[test]
    fn a_v6_network_is_one_client_and_a_mapped_address_is_v4() {
        let (rates, _) = rates(1, 0);
        let nothing = HeaderMap::new();
        let at = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        assert!(is_within(rates.count(at("2001:db8::1"), &nothing)));
        assert!(!is_within(rates.count(at("2001:db8::2"), &nothing)));
        assert!(is_within(rates.count(at("2001:db8:0:1::1"), &nothing)));
        assert!(is_within(rates.count(at("::ffff:192.0.2.1"), &nothing)));
        assert!(!is_within(rates.count(ONE, &nothing)));
    }

    #[test]
    fn zero_is_no_limit() {
        let (rates, _) = rates(0, 0);
        for _ in 0..10 {
            assert_eq!(rates.count(ONE, &bearer("nlt_one")), Rate::Unlimited);
        }
    }
}
