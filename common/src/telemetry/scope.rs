//! Where spans go that are made while something runs: the scope of a request, or of an attempt,
//! which the code below finds without being told of it. A scope that nobody samples keeps its
//! spans until it is known whether all went well.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::Either;
use opentelemetry::Context;
use opentelemetry::context::FutureExt;
use opentelemetry::trace::{SpanId, TraceContextExt};

use super::span::{Span, span_context};
use super::traces::Inner;
use crate::model::TraceContext;

/// Spans that a scope keeps back.
const KEPT_MAX: usize = 128;

tokio::task_local! {
    static CURRENT: Option<Scope>;
}

/// A place in a trace, below which spans may be made.
#[derive(Debug, Clone)]
pub struct Scope {
    /// What a span made here is a child of.
    parent: TraceContext,
    /// `None` where traces are off: what comes in is passed on.
    kept: Option<Arc<Kept>>,
}

#[derive(Debug)]
struct Kept {
    traces: Arc<Inner>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    spans: Vec<Span>,
    does: Does,
    /// Whether any was made.
    is_used: bool,
}

/// What is done with a span.
#[derive(Debug, Clone, Copy)]
enum Does {
    /// It is kept until it is known whether it is wanted, or for company.
    Keep,
    /// It is wanted, and goes its way.
    Pass,
    /// It is not.
    Drop,
}

impl Scope {
    pub(super) fn new(parent: TraceContext, traces: &Arc<Inner>) -> Self {
        let kept = Kept {
            traces: Arc::clone(traces),
            state: Mutex::new(State {
                spans: Vec::new(),
                does: Does::Keep,
                is_used: false,
            }),
        };
        Self {
            parent,
            kept: Some(Arc::new(kept)),
        }
    }

    /// Only passes the trace on that somebody else has begun.
    pub fn passing(parent: TraceContext) -> Self {
        Self { parent, kept: None }
    }

    /// Runs within it whatever the future does. No function of its own that awaits: the future
    /// would be in there twice.
    pub fn around<F: Future>(scope: Option<Self>, future: F) -> impl Future<Output = F::Output> {
        let takes = scope.as_ref().filter(|scope| scope.is_on());
        let inside = match takes.map(Self::context) {
            Some(context) => Either::Left(future.with_context(context)),
            None => Either::Right(future),
        };
        CURRENT.scope(scope, inside)
    }

    /// Where spans that are begun here belong, as OpenTelemetry knows it.
    fn context(&self) -> Context {
        Context::new().with_remote_span_context(span_context(&self.parent))
    }

    /// Whether a span that is begun by the code that calls this is for anything.
    pub(super) fn takes_spans() -> bool {
        let takes = CURRENT.try_with(|scope| scope.as_ref().is_some_and(Self::is_on));
        takes.unwrap_or(false)
    }

    /// The one that this code runs in.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Option::clone).ok().flatten()
    }

    pub fn parent(&self) -> &TraceContext {
        &self.parent
    }

    /// What work that is caused here is a child of: the span that this code runs in, if it tells
    /// of one, or the whole.
    pub fn here() -> Option<TraceContext> {
        let parent = Self::current()?.parent;
        let within = Context::current();
        let span = within.span().span_context().span_id();
        match span == SpanId::INVALID {
            true => Some(parent),
            false => Some(parent.at(crate::model::SpanId::of(span.to_bytes()))),
        }
    }

    /// Whether spans are made here.
    pub fn is_on(&self) -> bool {
        self.kept.is_some()
    }

    pub(super) fn add(&self, span: Span) {
        let Some(kept) = &self.kept else { return };
        let mut state = kept.state();
        state.is_used = true;
        match state.does {
            Does::Keep => {
                state.spans.push(span);
                if state.spans.len() < KEPT_MAX {
                    return;
                }
                let spans = mem::take(&mut state.spans);
                drop(state);
                // That they are wanted is known already.
                match self.parent.is_sampled {
                    true => kept.traces.push_now(spans),
                    false => kept.traces.queue.left_out(spans.len()),
                }
            }
            Does::Pass => {
                drop(state);
                kept.traces.push_now(vec![span]);
            }
            Does::Drop => {}
        }
    }

    /// What was kept so far; from now on each span goes its way by itself.
    pub(super) fn pass(&self) -> Vec<Span> {
        self.henceforth(Does::Pass)
    }

    /// Nobody wants them.
    pub(super) fn drop_all(&self) {
        self.henceforth(Does::Drop);
    }

    /// Whether anything was made here.
    pub(super) fn is_used(&self) -> bool {
        let kept = self.kept.as_ref();
        kept.is_some_and(|kept| kept.state().is_used)
    }

    fn henceforth(&self, does: Does) -> Vec<Span> {
        let Some(kept) = &self.kept else {
            return Vec::new();
        };
        let mut state = kept.state();
        state.does = does;
        mem::take(&mut state.spans)
    }
}

impl Kept {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Whole between two calls, whoever panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use opentelemetry_proto::tonic::common::v1::KeyValue;
    use opentelemetry_proto::tonic::trace::v1::Span as Made;
    use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
    use tracing::Instrument;
    use tracing::subscriber::DefaultGuard;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::registry;

    use super::super::span::read_back;
    use super::super::traces::Traces;
    use super::super::{Config, fail, ids, layer};
    use super::*;
    use crate::call;

    /// What a process sets once for all.
    fn subscribed() -> DefaultGuard {
        tracing::subscriber::set_default(registry().with(layer()))
    }

    fn passed(scope: &Scope) -> Vec<Made> {
        let spans = scope.pass().into_iter();
        spans.map(read_back).collect()
    }

    fn attribute(name: &str, value: impl Into<opentelemetry::Value>) -> KeyValue {
        KeyValue {
            key: name.to_owned(),
            value: Some(value.into().into()),
            ..KeyValue::default()
        }
    }

    /// To a collector that is not there.
    fn traces() -> Traces {
        let look = |name: &str| {
            let endpoint = name == "OTEL_EXPORTER_OTLP_ENDPOINT";
            endpoint.then(|| "http://127.0.0.1:9".to_owned())
        };
        Traces::start(&Config::read("test", &look).unwrap().unwrap()).unwrap()
    }

    fn scope(traces: &Traces, is_sampled: bool) -> Scope {
        let task = "t".parse().unwrap();
        let parent = TraceContext {
            is_sampled,
            ..ids::derived(&task, Timestamp::now())
        };
        Scope::new(parent, traces.on().unwrap())
    }

    #[tokio::test]
    async fn what_is_made_finds_its_place() {
        let (traces, _subscribed) = (traces(), subscribed());
        let scope = scope(&traces, true);
        let logged = tracing::info_span!("task");
        let made = Scope::around(Some(scope.clone()), async {
            let outer = call!("internal", "outer", flotilla.texts = 2);
            let within = async { drop(call!("client", "inner")) };
            within.instrument(outer).await;
        });
        made.instrument(logged).await;
        assert!(Scope::current().is_none() && scope.is_used());
        let spans = passed(&scope);
        let [inner, outer] = &spans[..] else {
            panic!("{spans:?}")
        };
        assert_eq!((&*inner.name, &*outer.name), ("inner", "outer"));
        assert_eq!(inner.parent_span_id, outer.span_id);
        let parent = scope.parent();
        assert_eq!(outer.parent_span_id, parent.span.to_bytes());
        assert_eq!(inner.trace_id, parent.trace.to_bytes());
        assert_eq!(outer.attributes, [attribute("flotilla.texts", 2_i64)]);
        drop(call!("client", "outside"));
        assert!(passed(&scope).is_empty());
    }

    #[tokio::test]
    async fn what_goes_wrong_is_told_by_its_class() {
        let (traces, _subscribed) = (traces(), subscribed());
        let scope = scope(&traces, true);
        let made = Scope::around(Some(scope.clone()), async {
            let span = call!("client", "call");
            span.record("otel.name", "GET");
            fail(&span, "timeout");
        });
        made.await;
        let spans = passed(&scope);
        assert_eq!(
            (&*spans[0].name, spans[0].kind()),
            ("GET", SpanKind::Client)
        );
        let class = attribute("error.type", "timeout".to_owned());
        assert_eq!(spans[0].attributes, [class]);
        assert_eq!(spans[0].status.as_ref().unwrap().message, "timeout");
    }

    #[tokio::test]
    async fn what_nobody_wants_is_kept_until_that_is_known() {
        let (traces, _subscribed) = (traces(), subscribed());
        for wanted in [true, false] {
            let scope = scope(&traces, false);
            Scope::around(Some(scope.clone()), async { drop(call!("client", "call")) }).await;
            match wanted {
                true => assert_eq!(scope.pass().len(), 1),
                false => scope.drop_all(),
            }
            assert!(scope.pass().is_empty());
        }
        assert_eq!(traces.on().unwrap().queue.waiting(), 0);
    }

    #[tokio::test]
    async fn there_is_a_bound_to_what_is_kept() {
        let (traces, _subscribed) = (traces(), subscribed());
        let unwanted = scope(&traces, false);
        let wanted = scope(&traces, true);
        for scope in [&unwanted, &wanted] {
            Scope::around(Some(scope.clone()), async {
                for _ in 0..=KEPT_MAX {
                    drop(call!("internal", "one of many"));
                }
            })
            .await;
        }
        assert_eq!((unwanted.pass().len(), wanted.pass().len()), (1, 1));
        assert_eq!(traces.counts().unwrap().dropped, KEPT_MAX as u64);
        assert_eq!(traces.on().unwrap().queue.waiting(), KEPT_MAX);
    }
}
