//! Section `[telemetry]`: where people look at traces. How these are made and where they are sent
//! is said by OpenTelemetry's own variables.

use serde::Deserialize;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Links {
    /// The address of a trace, with `{trace_id}` in the place of its id; empty: none is linked to.
    pub trace_url: String,
}

impl Links {
    pub fn validate(&self) -> Result<(), String> {
        let url = &self.trace_url;
        let is_http = url.starts_with("http://") || url.starts_with("https://");
        match url.is_empty() || (is_http && url.contains("{trace_id}")) {
            true => Ok(()),
            false => Err(format!(
                "telemetry.trace_url is {url:?}: write it like http://localhost:16686/trace/{{trace_id}}, or leave it empty"
            )),
        }
    }

    pub fn to_trace(&self, id: &str) -> Option<String> {
        (!self.trace_url.is_empty()).then(|| self.trace_url.replace("{trace_id}", id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_has_the_id_in_it() {
        let links = |url: &str| Links {
            trace_url: url.to_owned(),
        };
        let jaeger = links("http://j:16686/trace/{trace_id}");
        assert_eq!(jaeger.validate(), Ok(()));
        assert_eq!(
            jaeger.to_trace("ab").as_deref(),
            Some("http://j:16686/trace/ab")
        );
        assert_eq!(
            (links("").validate(), links("").to_trace("ab")),
            (Ok(()), None)
        );
        for wrong in [
            "j:16686/trace/{trace_id}",
            "http://j/trace/",
            "javascript:{trace_id}",
        ] {
            assert!(links(wrong).validate().is_err(), "{wrong}");
        }
    }
}
