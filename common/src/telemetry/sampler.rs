//! Which traces are kept whole. Tasks that go wrong are kept whatever is said here.

use crate::model::{TraceContext, TraceId};

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// Of the traces that begin with us, or of all.
    share: Share,
    /// Whoever began a trace has decided already.
    follows_parent: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Share {
    All,
    None,
    /// The trace's id decides, so that everybody decides alike: below this.
    Below(u64),
}

impl Default for Sampler {
    fn default() -> Self {
        Self {
            share: Share::All,
            follows_parent: true,
        }
    }
}

impl Sampler {
    /// By the names of `OTEL_TRACES_SAMPLER` and its argument.
    pub(super) fn parse(name: &str, argument: Option<&str>) -> Result<Self, String> {
        let (follows_parent, share) = match name.strip_prefix("parentbased_") {
            Some(share) => (true, share),
            None => (false, name),
        };
        let share = match share {
            "always_on" => Share::All,
            "always_off" => Share::None,
            "traceidratio" => ratio(argument.unwrap_or("1.0"))?,
            _ => {
                return Err(format!(
                    "OTEL_TRACES_SAMPLER is {name:?}: use always_on, always_off or traceidratio, or one of them behind parentbased_"
                ));
            }
        };
        Ok(Self {
            share,
            follows_parent,
        })
    }

    pub(super) fn keeps(&self, trace: TraceId, parent: Option<&TraceContext>) -> bool {
        match parent {
            Some(parent) if self.follows_parent => parent.is_sampled,
            _ => match self.share {
                Share::All => true,
                Share::None => false,
                Share::Below(bound) => trace.low() >> 1 < bound,
            },
        }
    }
}

/// As the other implementations compute it, so that they decide alike.
fn ratio(text: &str) -> Result<Share, String> {
    let ratio = text
        .trim()
        .parse::<f64>()
        .ok()
        .filter(|ratio| (0.0..=1.0).contains(ratio));
    let ratio = ratio.ok_or_else(|| {
        format!("OTEL_TRACES_SAMPLER_ARG is {text:?}: use a share from 0.0 to 1.0")
    })?;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of 63 bits"
    )]
    let bound = (ratio * (1_u64 << 63) as f64) as u64;
    Ok(Share::Below(bound))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parent(is_sampled: bool) -> TraceContext {
        TraceContext {
            trace: TraceId::new(7),
            span: crate::model::SpanId::new(7),
            is_sampled,
            state: None,
        }
    }

    #[test]
    fn a_share_is_kept_and_a_parent_followed() {
        let sampler = Sampler::parse("parentbased_traceidratio", Some("0.25")).unwrap();
        let kept = |sampler: Sampler| {
            (0..1_000)
                .filter(|_| sampler.keeps(super::super::ids::random_trace(), None))
                .count()
        };
        assert!((150..350).contains(&kept(sampler)), "{}", kept(sampler));
        assert!(sampler.keeps(TraceId::new(u128::MAX), Some(&parent(true))));
        assert!(!sampler.keeps(TraceId::new(1), Some(&parent(false))));
        let always = Sampler::parse("always_on", None).unwrap();
        assert!(always.keeps(TraceId::new(1), Some(&parent(false))));
        let never = Sampler::parse("parentbased_always_off", None).unwrap();
        assert_eq!(kept(never), 0);
    }

    #[test]
    fn what_is_no_sampler_is_refused() {
        for (name, argument) in [
            ("jaeger_remote", None),
            ("", None),
            ("traceidratio", Some("2")),
            ("parentbased_traceidratio", Some("half")),
        ] {
            assert!(Sampler::parse(name, argument).is_err(), "{name}");
        }
    }
}
