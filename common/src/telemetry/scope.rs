//! Where spans go that are made while something runs: the scope of a request, or of an attempt,
//! which the code below finds without being told of it. A scope that nobody samples keeps its
//! spans until it is known whether all went well.

use std::borrow::Cow;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::ids;
use super::span::{Kind, Span, Value};
use super::traces::Inner;
use crate::model::{SpanId, TraceContext};

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
        CURRENT.scope(scope, future)
    }

    /// The one that this code runs in.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Option::clone).ok().flatten()
    }

    pub fn parent(&self) -> &TraceContext {
        &self.parent
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

    /// The same scope, one span further down.
    fn below(&self, span: SpanId) -> Self {
        Self {
            parent: self.parent.at(span),
            kept: self.kept.clone(),
        }
    }
}

impl Kept {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Whole between two calls, whoever panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A span that is being made, of something that happens now. It ends when it is dropped. Without
/// a scope around it, it is nothing.
#[derive(Debug)]
#[must_use = "a span ends when it is dropped"]
pub struct Open(Option<Box<(Scope, Span)>>);

impl Open {
    /// Something within this process.
    pub fn internal(name: impl Into<Cow<'static, str>>) -> Self {
        Self::of(name, Kind::Internal)
    }

    /// A call to somebody else.
    pub fn client(name: impl Into<Cow<'static, str>>) -> Self {
        Self::of(name, Kind::Client)
    }

    fn of(name: impl Into<Cow<'static, str>>, kind: Kind) -> Self {
        let begun = CURRENT.try_with(|scope| {
            let scope = scope.as_ref().filter(|scope| scope.is_on())?;
            let context = scope.parent.at(ids::random_span());
            let now = Timestamp::now();
            let span = Span::new(context, Some(scope.parent.span), name, kind, (now, now));
            Some(Box::new((scope.clone(), span)))
        });
        Self(begun.ok().flatten())
    }

    /// Whether it is made: what only a span needs to know need not be found out otherwise.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Some(open) = &mut self.0 {
            open.1.set(name, value);
        }
    }

    /// It went wrong, with an error of this class.
    pub fn fail(&mut self, class: impl Into<Cow<'static, str>>) {
        if let Some(open) = &mut self.0 {
            open.1.fail(class);
        }
    }

    /// Runs the future so that what it makes is below this span.
    pub fn around<F: Future>(&self, future: F) -> impl Future<Output = F::Output> {
        let scope = match &self.0 {
            Some(open) => Some(open.0.below(open.1.context.span)),
            None => Scope::current(),
        };
        Scope::around(scope, future)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(open) = self.0.take() {
            let (scope, mut span) = *open;
            span.end_now();
            scope.add(span);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::traces::Traces;
    use super::super::{Config, ids};
    use super::*;

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
        let traces = traces();
        let scope = scope(&traces, true);
        let made = Scope::around(Some(scope.clone()), async {
            let outer = Open::internal("outer");
            outer.around(async { drop(Open::client("inner")) }).await;
        });
        made.await;
        assert!(Scope::current().is_none() && scope.is_used());
        let spans = scope.pass();
        let [inner, outer] = &spans[..] else {
            panic!("{spans:?}")
        };
        assert_eq!(
            (&*inner.name, inner.parent),
            ("inner", Some(outer.context.span))
        );
        assert_eq!(outer.parent, Some(scope.parent().span));
        assert!(!Open::client("outside").is_on());
    }

    #[tokio::test]
    async fn what_nobody_wants_is_kept_until_that_is_known() {
        let traces = traces();
        for wanted in [true, false] {
            let scope = scope(&traces, false);
            Scope::around(Some(scope.clone()), async { drop(Open::client("call")) }).await;
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
        let traces = traces();
        let unwanted = scope(&traces, false);
        let wanted = scope(&traces, true);
        for scope in [&unwanted, &wanted] {
            Scope::around(Some(scope.clone()), async {
                for _ in 0..=KEPT_MAX {
                    drop(Open::internal("one of many"));
                }
            })
            .await;
        }
        assert_eq!((unwanted.pass().len(), wanted.pass().len()), (1, 1));
        assert_eq!(traces.counts().unwrap().dropped, KEPT_MAX as u64);
        assert_eq!(traces.on().unwrap().queue.waiting(), KEPT_MAX);
    }
}
