//! Region and service of an AWS endpoint, as its signature names them.

use url::Url;

/// What a signature is for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) region: String,
    pub(super) service: String,
}

/// Endpoints whose signing name is another than their host's.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("bedrock-agent", "bedrock"),
    ("bedrock-agent-runtime", "bedrock"),
    ("bedrock-runtime", "bedrock"),
    ("email", "ses"),
    ("lambda-url", "lambda"),
    ("queue", "sqs"),
];

/// The scope that a host names: `sqs.eu-west-1.amazonaws.com`, `bucket.s3.eu-west-1.…`,
/// `domain.eu-west-1.es.…`. The hosts of AWS without a region are the global ones and are signed
/// for `us-east-1`; any other host is signed for `region`.
pub(super) fn of_host(url: &Url, region: &str) -> Scope {
    let host = url.host_str().unwrap_or_default();
    let front = [".amazonaws.com", ".api.aws", ".on.aws"]
        .iter()
        .find_map(|end| host.strip_suffix(end));
    let mut labels: Vec<&str> = front.unwrap_or(host).split('.').collect();
    labels.retain(|label| !matches!(*label, "dualstack" | "vpce"));
    let (region, service) = match labels.as_slice() {
        [.., service, place] if is_region(place) => (*place, *service),
        [.., place, service] if is_region(place) => (*place, *service),
        [.., service] if front.is_some() => ("us-east-1", *service),
        [service, ..] => (region, *service),
        [] => (region, ""),
    };
    let service = OTHER_NAMES
        .iter()
        .find(|(name, _)| *name == service)
        .map_or(service, |(_, signing)| *signing);
    Scope {
        region: region.to_owned(),
        service: service.trim_end_matches("-fips").to_owned(),
    }
}

/// `eu-west-1`, `us-gov-east-1`: words, and a number at the end.
fn is_region(label: &str) -> bool {
    let mut words = label.split('-').rev();
    let number = words.next().unwrap_or_default();
    let rest: Vec<&str> = words.collect();
    !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
        && (2..=3).contains(&rest.len())
        && rest
            .iter()
            .all(|word| word.len() >= 2 && word.bytes().all(|b| b.is_ascii_lowercase()))
        && rest.last().is_some_and(|area| area.len() <= 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_names_its_region_and_service() {
        for (host, region, service) in [
            ("iam.amazonaws.com", "us-east-1", "iam"),
            ("sts.eu-central-1.amazonaws.com", "eu-central-1", "sts"),
            ("bucket.s3.eu-west-1.amazonaws.com", "eu-west-1", "s3"),
            ("my.bucket.s3.amazonaws.com", "us-east-1", "s3"),
            ("s3.dualstack.us-west-2.amazonaws.com", "us-west-2", "s3"),
            (
                "x1.execute-api.us-gov-west-1.amazonaws.com",
                "us-gov-west-1",
                "execute-api",
            ),
            ("search-a-1.eu-west-1.es.amazonaws.com", "eu-west-1", "es"),
            (
                "bedrock-runtime.us-east-1.amazonaws.com",
                "us-east-1",
                "bedrock",
            ),
            ("email.eu-west-1.amazonaws.com", "eu-west-1", "ses"),
            ("abc.lambda-url.eu-west-1.on.aws", "eu-west-1", "lambda"),
            ("kms-fips.us-east-2.amazonaws.com", "us-east-2", "kms"),
            (
                "vpce-1.sqs.ap-southeast-2.vpce.amazonaws.com",
                "ap-southeast-2",
                "sqs",
            ),
        ] {
            let url = Url::parse(&format!("https://{host}/")).unwrap();
            let wanted = Scope {
                region: region.into(),
                service: service.into(),
            };
            assert_eq!(of_host(&url, "sa-east-1"), wanted, "{host}");
        }
    }
}
